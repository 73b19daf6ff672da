
const bytes = crypto.getRandomValues(new Uint8Array(32));
document.forms[0].elements.window.value = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
document.forms[0].submit();

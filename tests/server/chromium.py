"""A person at a real Chromium without a screen, driven by selenium; tests skip where there is none."""

import base64
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
PHONE, DESKTOP, DOCS = (390, 844), (1280, 900), (600, 800)
SMALL_PHONES = ((360, 740), (320, 568))

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars "
    "--host-resolver-rules=MAP\u00a0*.example\u00a0127.0.0.1"
).split(" ")


TAB, ENTER, SPACE = "\ue004", "\ue007", "\ue00d"
"""Keys by their code points (WebDriver, "Keyboard actions")."""


class Person:
    """A person at a browser. Blocking: call it in a thread of its own."""

    def __init__(self, driver: Any, selenium: Any) -> None:
        self.driver = driver
        self._selenium = selenium

    def show(self, path: Path) -> bool:
        """Be the desktop that opens a file."""
        self.driver.get(path.as_uri())
        return True

    def go(self, address: str) -> None:
        """Type an address."""
        self.driver.get(address)

    @property
    def text(self) -> str:
        """The text of the page."""
        return " ".join(str(self.driver.find_element("tag name", "body").text).split())

    def sees(self, part: str, seconds: float = 15.0) -> str:
        """Wait until the page shows a text, and return the page's whole text."""
        return self._until(lambda: self.text if part in self.text else None, seconds, part)

    def press(self, button: str) -> None:
        """Press a button by its label."""
        self.driver.find_element("xpath", f"//button[starts-with(normalize-space(), '{button}')]").click()

    def keys(self, *keys: str) -> None:
        """Use the keyboard and nothing else."""
        for key in keys:
            self._selenium.webdriver.ActionChains(self.driver).send_keys(key).perform()

    def focused(self) -> str:
        """Return the focused element."""
        found: str = self.driver.execute_script(
            "const e = document.activeElement; return e.innerText || e.id || e.tagName"
        )
        return found

    def screenshot(self, name: str, size: tuple[int, int], *, dark: bool = False) -> Path:
        """Keep a picture of the whole page, as it looks on a screen of that width."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.hold(size)
        wide: int = self.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= size[0], f"the page is {wide} wide"
        height: int = self.driver.execute_script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": size[0], "height": height, "scale": 1}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        ARTEFACTS.mkdir(exist_ok=True)
        path = ARTEFACTS / f"approval-{name}.png"
        path.write_bytes(base64.b64decode(shot["data"]))
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        return path

    def hold(self, size: tuple[int, int]) -> None:
        """Look through a screen of that size."""
        mobile = size in (PHONE, *SMALL_PHONES)
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 2, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def accessible(self) -> list[tuple[str, str]]:
        """Return (role, name) of everything a screen reader would meet."""
        nodes: Sequence[dict[str, Any]] = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        return [
            (str(node["role"]["value"]), str(node.get("name", {}).get("value", "")))
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]

    def complaints(self) -> list[str]:
        """Return the browser's complaints (a violated policy, a missing resource)."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def hidden(self, name: str) -> str:
        """Return what is hidden in the first form that has it."""
        return str(self.driver.find_element("css selector", f"input[name={name}]").get_attribute("value"))

    def cookies(self) -> list[str]:
        """Return the names of all cookies that the browser keeps, whosever they are."""
        found: Sequence[dict[str, Any]] = self.driver.execute_cdp_cmd("Network.getAllCookies", {})["cookies"]
        return [str(cookie["name"]) for cookie in found]

    def forget(self) -> None:
        """Become another browser: no cookie is left."""
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})

    def _until(self, look: Callable[[], str | None], seconds: float, what: str) -> str:
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = look()
            except self._selenium.common.WebDriverException:  # between two pages
                found = None
            if found is not None:
                return found
            assert time.monotonic() < deadline, f"{what!r} is not seen in: {self.text}"
            time.sleep(0.05)


@contextmanager
def person_at_chromium(profile: Path) -> Generator[Person]:
    """Start a browser with a fresh profile, or skip."""
    # By name, so that types can be checked without it.
    selenium: Any = pytest.importorskip("selenium", reason="needs the extra `browser` (selenium)")
    webdriver: Any = pytest.importorskip("selenium.webdriver")
    pytest.importorskip("selenium.common")
    browser, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or chromedriver is None:
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag.replace("\u00a0", " "))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=chromedriver))
    try:
        yield Person(driver, selenium)
    finally:
        driver.quit()

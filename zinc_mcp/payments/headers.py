"""The three headers of the `Payment` scheme (draft-httpauth-payment-01): challenge, credential and receipt.

A challenge (`WWW-Authenticate`) is read strictly and kept exactly as it was written. Its grammar is that of RFC 9110,
section 11.6.1:

    challenge   = "Payment" [ 1*SP auth-params ]
    auth-params = auth-param *( OWS "," OWS auth-param )
    auth-param  = token BWS "=" BWS ( token / quoted-string )

Several challenges come as several header lines or folded into one line, among other schemes. The SDKs accept two
malformed forms (text after a closing quote, a quote that never closes); a payer has no reason to, so both are refused.

A credential (`Authorization: Payment <base64url JSON>`) repeats the challenge's parameters and adds the method's
`payload`.

A receipt (`Payment-Receipt`) is read leniently: it is optional, and when it arrives the money has already moved, so
nothing is refused because of it. The draft defines base64url JSON with status, method, timestamp and reference; Zinc's
own documents also show `tempo receipt=rcpt_…`.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self, cast

from zinc_mcp.network import decoded
from zinc_mcp.payments.failures import InvalidChallengeError
from zinc_mcp.text import plain

_MAX_LINES = 16

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105  (RFC 9110's word, not a secret)
# The alternatives of each pattern exclude one another, so that hostile input costs linear time.
_QUOTED = r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e\x80-\U0010ffff])*)"'
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[",]', re.DOTALL)
_PARAMETER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|{_QUOTED})")
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+(?![ \t=])(.*))?", re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_METHOD = re.compile(r"[a-z][a-z0-9:_-]{0,63}")
_INTENT = re.compile(r"[A-Za-z0-9-]{1,64}")

_REQUIRED = ("id", "realm", "method", "intent", "request")
_OPTIONAL = ("expires", "digest", "description", "opaque", "header")


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """The decoded `request` of a charge (draft-payment-intent-charge-00). None: absent, or not of this type."""

    amount: str | None
    """Base units, as written."""
    currency: str | None
    recipient: str | None
    external_id: str | None
    method_details: Mapping[str, Any]
    members: Mapping[str, Any]
    """All members that the server wrote, for wallets that need more."""

    @classmethod
    def from_members(cls, members: Mapping[str, Any]) -> Self:
        """Pick the shared fields out of the decoded JSON object."""

        def text(name: str) -> str | None:
            value = members.get(name)
            return value if isinstance(value, str) else None

        details = members.get("methodDetails")
        return cls(
            amount=text("amount"),
            currency=text("currency"),
            recipient=text("recipient"),
            external_id=text("externalId"),
            method_details=cast(Mapping[str, Any], details) if isinstance(details, Mapping) else {},
            members=members,
        )


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a 402. Each parameter is kept exactly as it was received."""

    id: str
    realm: str
    method: str
    intent: str
    request: str
    expires: str | None = None
    digest: str | None = None
    description: str | None = None
    opaque: str | None = None
    header: str | None = None
    charge_request: ChargeRequest = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Validate the parameters and decode `request`.

        Raises:
            InvalidChallengeError: if a required one is empty or malformed.
        """
        if not self.id or not self.realm:
            raise InvalidChallengeError("an empty parameter")
        if not _METHOD.fullmatch(self.method) or not _INTENT.fullmatch(self.intent):
            raise InvalidChallengeError("a malformed method or intent")
        if self.opaque is not None and not BASE64URL.fullmatch(self.opaque):
            raise InvalidChallengeError("opaque is not base64url")
        object.__setattr__(self, "charge_request", ChargeRequest.from_members(decoded_object(self.request)))

    @classmethod
    def from_www_authenticate(cls, values: Sequence[str]) -> list["Challenge"]:
        """Read the `Payment` challenges in the header lines, in the server's order.

        A malformed challenge is skipped; the others can still be paid.

        Raises:
            InvalidChallengeError: there is none that can be read.
        """
        challenges: list[Challenge] = []
        malformed: list[InvalidChallengeError] = []
        for value in values[:_MAX_LINES]:
            try:
                listed = _split(value)
            except InvalidChallengeError as error:
                malformed.append(error)
                continue
            for items in listed:
                try:
                    challenges.append(cls.from_parameters(_parameters(items)))
                except InvalidChallengeError as error:
                    malformed.append(error)
        if not challenges:
            raise InvalidChallengeError(malformed[0].reason if malformed else "no Payment challenge")
        return challenges

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, object]) -> Self:
        """Build a challenge from its parameters, ignoring unknown ones (the draft: "MUST be ignored by clients").

        Raises:
            InvalidChallengeError: if a required one is missing or one is not text.
        """
        for name in _REQUIRED:
            if name not in parameters:
                raise InvalidChallengeError(f"no {name}")
        known = {name: parameters[name] for name in (*_REQUIRED, *_OPTIONAL) if name in parameters}
        if not all(isinstance(value, str) for value in known.values()):
            raise InvalidChallengeError("a parameter that is not text")
        return cls(**cast(dict[str, str], known))

    def to_parameters(self) -> dict[str, str]:
        """Return the parameters as they were received, without absent ones, for a credential to repeat."""
        return {name: value for name in (*_REQUIRED, *_OPTIONAL) if (value := getattr(self, name)) is not None}

    def to_www_authenticate(self) -> str:
        """Write the challenge as one header line (the sandbox's side).

        Raises:
            ValueError: if a parameter holds a control character.
        """
        return "Payment " + ", ".join(f'{name}="{_quoted(value)}"' for name, value in self.to_parameters().items())


def _split(value: str) -> list[list[str]]:
    """Split one header line into the parameter lists of its `Payment` challenges."""
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidChallengeError("not text") from None
    if length > MAX_HEADER_BYTES:
        raise InvalidChallengeError("too long")
    items: list[str] = []
    start = 0
    for piece in _PIECE.finditer(value):
        if piece[0] == '"':
            raise InvalidChallengeError("a quote that is never closed")
        if piece[0] == ",":
            items.append(value[start : piece.start()])
            start = piece.end()
    items.append(value[start:])
    found: list[list[str]] = []
    ours = False
    for raw in items:
        item = raw.strip(" \t")
        if not item:
            continue
        opening = _SCHEME.fullmatch(item)
        if opening is None:
            if ours:
                found[-1].append(item)
            continue
        ours = opening[1].lower() == "payment"
        if ours:
            found.append([opening[2]] if opening[2] else [])
    return found


def _parameters(items: list[str]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for item in items:
        match = _PARAMETER.fullmatch(item)
        if match is None:
            raise InvalidChallengeError("a malformed parameter")
        # "auth-param names are case-insensitive and MUST only occur once per challenge" (RFC 9110 section 11.2)
        name = match[1].lower()
        if name in parameters:
            raise InvalidChallengeError("a parameter given twice")
        parameters[name] = match[2] if match[2] is not None else _QUOTED_PAIR.sub(r"\1", match[3])
    return parameters


def _quoted(value: str) -> str:
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
        raise ValueError("a control character cannot be written into a header")
    return value.replace("\\", "\\\\").replace('"', '\\"')


MAX_CREDENTIAL_BYTES = 64 * 1024
"""A credential repeats a challenge of up to 16 KiB in another encoding. The SDKs have the same bound."""
_CREDENTIAL_SCHEME = "payment "


@dataclass(frozen=True, slots=True)
class Credential:
    """Proof of payment. Its holder may have the payment settled, so no `repr` shows it."""

    challenge: Challenge = field(repr=False)
    payload: Mapping[str, Any] = field(repr=False)
    source: str | None = field(default=None, repr=False)

    def to_authorization(self) -> str:
        """Write the header value. It repeats the challenge's parameters byte for byte.

        Raises:
            ValueError: the value would be longer than a server has to read.
        """
        members: dict[str, Any] = {"challenge": self.challenge.to_parameters(), "payload": dict(self.payload)}
        if self.source is not None:
            members["source"] = self.source
        value = f"Payment {encoded_object(members)}"
        if len(value) > MAX_CREDENTIAL_BYTES:
            raise ValueError("the credential is too long for a header")
        return value

    @classmethod
    def from_authorization(cls, value: str) -> Self:
        """Read a header value (the payee's side: the sandbox and the tests).

        Raises:
            InvalidChallengeError: if it is not a credential.
        """
        stripped = value.strip(" \t")
        if not stripped.lower().startswith(_CREDENTIAL_SCHEME):
            raise InvalidChallengeError("not a Payment credential")
        members = decoded_object(stripped[len(_CREDENTIAL_SCHEME) :].strip(" "), MAX_CREDENTIAL_BYTES)
        echo, payload, source = members.get("challenge"), members.get("payload"), members.get("source")
        if not isinstance(echo, dict) or not isinstance(payload, dict) or not isinstance(source, str | None):
            raise InvalidChallengeError("a credential without challenge or payload")
        return cls(
            Challenge.from_parameters(cast(dict[str, object], echo)), cast(dict[str, Any], payload), source or None
        )


MAX_RECEIPT_BYTES = 16 * 1024

_ODD_FORM = re.compile(
    r"(?:(?P<method>[a-z][a-z0-9:_-]{0,63})[ \t;,]{1,8})?\b(?:receipt|reference|id)=\"?(?P<reference>[^\s\";,]{1,200})"
)
_BARE = re.compile(r"(?:rcpt_|pi_|ch_|0x)[A-Za-z0-9_]{6,200}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """The readable parts of a receipt. The whole is a secret (draft: "sensitive"); only the reference may be shown."""

    status: str | None = None
    method: str | None = None
    timestamp: str | None = None
    reference: str | None = None
    """The name of the payment where it settled: a transaction hash, a PaymentIntent."""

    @classmethod
    def from_payment_receipt(cls, value: str | None) -> Self | None:
        """Read a header value; None when there is none. Never raises."""
        if value is None or not value.strip():
            return None
        text = value.strip()[:MAX_RECEIPT_BYTES]  # a longer header is not a receipt
        try:
            members = decoded_object(text.rstrip("="))
        except InvalidChallengeError:
            if odd := _ODD_FORM.search(text):
                return cls(method=odd["method"], reference=_shown(odd["reference"]))
            return cls(reference=text if _BARE.fullmatch(text) else None)
        return cls(*(_shown(members.get(name)) for name in ("status", "method", "timestamp", "reference")))


def to_payment_receipt(method: str, reference: str, timestamp: str) -> str:
    """Write a receipt (the sandbox's side)."""
    members: dict[str, Any] = {"method": method, "reference": reference, "status": "success", "timestamp": timestamp}
    return encoded_object(members)


def _shown(value: object) -> str | None:
    return plain(value) or None if isinstance(value, str) else None


MAX_HEADER_BYTES = 16 * 1024
"""The draft asks for at least 4 KB ("Size Considerations"); the SDKs' bound is 16 KiB."""
BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


def decoded_object(text: str, limit: int = MAX_HEADER_BYTES) -> dict[str, Any]:
    """Decode base64url without padding (RFC 4648 section 5) that holds one JSON object without duplicate keys.

    Of two equal keys, some readers keep the first and some the last: a price must not depend on that.

    Raises:
        InvalidChallengeError: the text is anything else.
    """
    if len(text) > limit:
        raise InvalidChallengeError("too long")
    if not BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise InvalidChallengeError("not base64url")
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        raise InvalidChallengeError("not base64url of text") from None
    return strict_object(plain)


def strict_object(text: str) -> dict[str, Any]:
    """Read one JSON object without duplicate keys at any depth.

    Raises:
        InvalidChallengeError: the text is anything else.
    """
    try:
        members: object = decoded(text.encode(), object_pairs_hook=_once, parse_constant=_no_constant)
        # An escaped half of a surrogate pair cannot be written again.
        json.dumps(members, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise InvalidChallengeError("not a JSON object without duplicate keys") from None
    if not isinstance(members, dict):
        raise InvalidChallengeError("not a JSON object")
    return cast(dict[str, Any], members)


def encoded_object(members: Mapping[str, Any]) -> str:
    """Encode as base64url without padding over compact JSON with sorted keys.

    For the strings and whole numbers in use here that is RFC 8785.
    """
    compact = json.dumps(members, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return base64url(compact.encode())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _no_constant(name: str) -> None:
    raise ValueError(name)


def base64url(data: bytes) -> str:
    """Encode as RFC 4648 section 5, without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def digest_of(body: bytes) -> str:
    """Return the RFC 9530 digest of a body, as the draft writes it."""
    return f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"


def is_digest_of(digest: str, body: bytes) -> bool:
    """Say whether a `digest` is that of `body`: `sha-256=:…:` (RFC 9530) or `sha-256=…` (the SDKs)."""
    spelled = digest_of(body)
    return digest in (spelled, spelled.replace(":", ""))

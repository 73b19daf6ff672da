"""Signing in to Zinc: the device flow (after RFC 8628), keys for testing, and the facts that Zinc tells about a key.

A key and a device code are secrets, and stand in no error. Zinc's words are cleaned here, because they are not ours.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from zinc_mcp.errors import OrderOutcomeUnknownError, UnreadableAnswerError, ZincMcpError, ZincUnreachableError
from zinc_mcp.network import NetworkAnswer
from zinc_mcp.proxies import is_confidential, is_loopback
from zinc_mcp.text import plain
from zinc_mcp.zinc.account.account import get_wallet
from zinc_mcp.zinc.answers import MAX_CENTS
from zinc_mcp.zinc.client import GAVE_UP, MAX_KEY, ZincClient, members
from zinc_mcp.zinc.failures import read_failure

MAX_WAIT_SECONDS = 1800.0
"""The longest time for which a code is polled, even if Zinc allows more."""
MAX_INTERVAL_SECONDS = 60.0
MAX_LINK = 2000
"""Characters of the link to the page of a code."""
MAX_NAME = 80
"""Characters of the name that Zinc's page shows for the program that signs in."""
_USUAL_INTERVAL_SECONDS = 5.0
"""The time between two polls if Zinc names none (RFC 8628, section 3.2)."""
_USUAL_WAIT_SECONDS = 900.0
_MAX_DEVICE_CODE = 2000
_LIVE, _TEST = "zn_live_", "zn_test_"
_KEY = re.compile(rf"(?:{_LIVE}|{_TEST})[!-~]{{4,{MAX_KEY}}}")

Waiting = Literal["pending", "slow_down", "expired", "denied", "unreachable", "lost"]
"""The outcome of a poll that brought no key. `lost`: it was sent, and no answer came that can be read."""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A code that a person says yes or no to."""

    device_code: SecretStr
    user_code: str
    """The code that the person compares with the one on the page."""
    link: str
    """The page with the code filled in."""
    expires_seconds: float
    interval_seconds: float


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key, with the facts that Zinc tells about it."""

    key: SecretStr
    orders_moved: int | None = None
    """The number of test orders that came along into the account; None if no sandbox came along."""
    credit_cents: int | None = None
    """The credit that Zinc gave to a new account."""


@dataclass(frozen=True, slots=True)
class Account:
    """The facts that Zinc tells about an accepted key."""

    user: str | None = None
    email: str | None = None
    """The e-mail address of the account that has taken over the sandbox of a test key."""
    balance_cents: int | None = None
    fee_cents: int | None = None


def kind_of_key(key: str) -> Literal["live", "test"] | None:
    """Return whether a key buys for real or is for testing; None for a text that is no API key of Zinc."""
    if not _KEY.fullmatch(key) or len(key) > MAX_KEY:
        return None
    return "live" if key.startswith(_LIVE) else "test"


async def start(client: ZincClient, name: str, test_key: SecretStr | None = None) -> DeviceCode:
    """Ask Zinc for a code (`POST /device/code`).

    Args:
        client: of the Zinc to sign in to.
        name: what its page shows for this program.
        test_key: brings its sandbox along into the account.

    Raises:
        ZincUnreachableError: nothing was sent.
        UnreadableAnswerError: Zinc answered no, or its answer cannot be used.
    """
    headers = {} if test_key is None else {"Authorization": f"Bearer {test_key.get_secret_value()}"}
    answer = await _post(client, "/device/code", {"name": name[:MAX_NAME]}, headers)
    found = _content(answer, "Zinc did not begin a sign-in")
    device_code, user_code = found.get("device_code"), found.get("user_code")
    link = found.get("verification_uri_complete") or found.get("verification_uri")
    if not isinstance(device_code, str) or not 0 < len(device_code) <= _MAX_DEVICE_CODE:
        raise _unusable("Zinc's answer has no code to sign in with.")
    if not isinstance(user_code, str) or not plain(user_code, 40) or not isinstance(link, str):
        raise _unusable("Zinc's answer has no code or page for a person.")
    if not _is_usable(link, client.origin):
        raise _unusable("The page for signing in that Zinc names is not one that can be opened safely.")
    return DeviceCode(
        SecretStr(device_code),
        plain(user_code, 40),
        link,
        _seconds(found.get("expires_in"), _USUAL_WAIT_SECONDS, MAX_WAIT_SECONDS),
        _seconds(found.get("interval"), _USUAL_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS),
    )


async def poll(client: ZincClient, code: DeviceCode) -> IssuedKey | Waiting:
    """Ask whether the person has decided (`POST /device/token`, without a key).

    Raises:
        UnreadableAnswerError: Zinc answered no in a way that does not change by waiting.
    """
    try:
        answer = await _post(client, "/device/token", {"device_code": code.device_code.get_secret_value()}, {})
    except ZincUnreachableError:
        return "unreachable"
    except UnreadableAnswerError:
        return "lost"
    if 200 <= answer.status < 300:
        return _issued(answer)
    if answer.status >= 500 or answer.status in GAVE_UP or answer.status < 400:
        return "lost"
    known: Mapping[str, Waiting] = {
        "authorization_pending": "pending",
        "slow_down": "slow_down",
        "rate_limit_exceeded": "slow_down",
        "expired_token": "expired",
        "access_denied": "denied",
    }
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return "slow_down"
    failure = read_failure(answer.json())
    if failure.code in known:
        return known[failure.code]
    raise _unusable(f"Zinc ended the sign-in ({failure.spelled(answer.status)}).")


async def create_test_key(client: ZincClient, name: str) -> SecretStr:
    """Make a key for testing (`POST /sandbox/keys`), which needs no account.

    Raises:
        ZincUnreachableError: nothing was sent.
        UnreadableAnswerError: Zinc answered no, or its answer cannot be used.
    """
    answer = await _post(client, "/sandbox/keys", {"name": name[:MAX_NAME]}, {})
    if answer.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        raise UnreadableAnswerError(
            "Zinc makes no key for testing just now: it makes only a few for one address in a day.",
            owner_step="Try again later, or take one that you have: --paste.",
        )
    found = _content(answer, "Zinc made no key for testing")
    key = found.get("api_key") or found.get("key")
    if not isinstance(key, str) or kind_of_key(key) != "test":
        raise _unusable("Zinc's answer has no key for testing.")
    return SecretStr(key)


async def account_of(client: ZincClient, key: SecretStr) -> Account:
    """Ask Zinc about a key: whether it is accepted, and whose it is.

    Raises:
        OrderRejectedError: Zinc answered no; with status 401 it does not accept the key.
        ZincUnreachableError, UnreadableAnswerError: Zinc did not tell.
    """
    wallet = await get_wallet(client, key)
    balance = wallet.get("spendable_balance", wallet.get("balance"))
    email = None
    if kind_of_key(key.get_secret_value()) == "test":
        try:
            email = members(await client.get_json("/sandbox/status", key)).get("claimed_by_email")
        except ZincMcpError:
            email = None  # the other facts are known without it
    user = wallet.get("user_id")
    return Account(
        str(user) if type(user) is int else None,
        plain(email, 100) if isinstance(email, str) and email else None,
        _cents(balance),
        _cents(wallet.get("order_fee_cents")),
    )


def _issued(answer: NetworkAnswer) -> IssuedKey | Waiting:
    found = members(answer.json())
    key = found.get("key") or found.get("api_key")
    if not isinstance(key, str) or kind_of_key(key) is None:
        return "lost"  # Zinc shows the key in this one answer only
    moved, credit = members(found.get("sandbox")), members(found.get("starter_credit"))
    orders, cents = moved.get("orders_moved"), _cents(credit.get("cents"))
    return IssuedKey(SecretStr(key), orders if type(orders) is int and 0 <= orders < 10**9 else None, cents)


async def _post(client: ZincClient, path: str, body: Mapping[str, str], headers: dict[str, str]) -> NetworkAnswer:
    try:
        return await client.post(path, json.dumps(body).encode(), headers, None, None)
    except OrderOutcomeUnknownError:
        # The client's own sentence speaks of an order.
        raise _unusable("Zinc was asked, and no answer came that can be read.") from None


def _content(answer: NetworkAnswer, otherwise: str) -> Mapping[str, Any]:
    if not 200 <= answer.status < 300:
        raise _unusable(f"{otherwise} ({read_failure(answer.json()).spelled(answer.status)}).")
    return members(answer.json())


def _unusable(summary: str) -> UnreadableAnswerError:
    return UnreadableAnswerError(summary, owner_step="Nothing was kept. Try again in a minute.")


def _is_usable(link: str, origin: str) -> bool:
    """Say whether a link may be shown and opened: https, or plain http on this machine if Zinc is there as well."""
    if len(link) > MAX_LINK or any(not 33 <= ord(character) <= 126 for character in link):
        return False
    try:
        parts, ours = urlsplit(link), urlsplit(origin)
        host = parts.hostname or ""
    except ValueError:
        return False
    if "@" in parts.netloc or not host:
        return False
    # Stricter than for addresses that the owner gives: a Zinc elsewhere has no page on this machine.
    return parts.scheme == "https" or (is_confidential(parts.scheme, host) and is_loopback(ours.hostname or ""))


def _seconds(given: object, usual: float, most: float) -> float:
    if type(given) not in (int, float) or not isinstance(given, int | float) or not given > 0:
        return usual
    return min(max(1.0, float(given)), most)


def _cents(given: object) -> int | None:
    return given if isinstance(given, int) and type(given) is int and abs(given) <= MAX_CENTS else None

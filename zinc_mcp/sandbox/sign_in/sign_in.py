"""Signing in to the sandbox: the device flow (after RFC 8628) and keys for testing, as Zinc's SDK 2026.10.16 has them.

A live key that is issued here works at this sandbox only, and buys nothing. Where the documents are silent, this is
strict: a poll that comes too early is answered `slow_down`, and each one makes the interval longer.
"""

import hashlib
import hmac
import json
import secrets
import sqlite3
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.aftercare.requests import when
from zinc_mcp.sandbox.checks import AnsweredError, problems_in
from zinc_mcp.sandbox.ledger import fingerprint
from zinc_mcp.sandbox.products import ORDER_FEE

PAGE = "/device"
"""The page on which a person says yes or no."""
WALLET_BALANCE = 1_000_000
"""Cents; no test order lowers it."""
KEY_PREFIX = "zn_live_practice_"

_EXPIRES_SECONDS, _INTERVAL_SECONDS, _SLOWER_SECONDS = 900.0, 5.0, 5.0
"""At pace 1. Each `slow_down` adds the last of them to the interval (RFC 8628, section 3.5)."""
_MOST_KEYS_A_DAY = 10
"""Keys for testing that one address gets in a day; the documents say "a few"."""
_STARTER_CREDIT = 500
_DAY_SECONDS = 86_400.0
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""The letters of a user code, without vowels (RFC 8628, section 6.1)."""
_SOURCES = ("claude-code", "codex", "cursor", "gemini", "curl", "zinc-mcp")
_PERSON = "practice_person"
"""The cookie that stands for a person's own sign-in at Zinc."""

_Json = dict[str, Any]
_Form = TypeVar("_Form", bound=BaseModel)


class _DeviceCode(BaseModel):
    model_config = ConfigDict(strict=True)
    name: Annotated[str | None, Field(max_length=200)] = None


class _Decision(BaseModel):
    model_config = ConfigDict(strict=True)
    user_code: str
    granted: bool


class _Token(BaseModel):
    model_config = ConfigDict(strict=True)
    device_code: str


class _SandboxKey(BaseModel):
    model_config = ConfigDict(strict=True)
    name: str | None = None
    email: str | None = None


async def create_device_code(sandbox: Sandbox, request: Request) -> Response:
    """`POST /device/code`: public. With a test key as the bearer, its orders move to the account that signs in."""
    form = await _form(sandbox, request, _DeviceCode, may_be_empty=True)
    attached = _attached(sandbox, request)
    device_code = secrets.token_urlsafe(32)
    user_code = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(2))
    interval = _interval(sandbox)
    agent = request.headers.get("user-agent", "").lower()
    source = next((known for known in _SOURCES if known in agent), "unknown")
    with sandbox.ledger.transaction() as database:
        database.execute(
            "INSERT INTO device_codes (device_code, user_code, name, source, attached, created_at, interval) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                fingerprint(device_code),
                user_code,
                form.name or "An agent",
                source,
                attached,
                sandbox.clock(),
                interval,
            ),
        )
    page = f"{str(request.base_url).rstrip('/')}{PAGE}"
    complete = f"{page}?user_code={user_code}"
    return checks.as_json(
        {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": complete,
            "expires_in": round(_expires(sandbox)),
            "interval": max(1, round(interval)),
            "human_message": f"Open {complete} and check that it shows {user_code}.",
            "next": "Show the link to your operator and poll POST /device/token.",
        }
    )


async def describe_device_code(sandbox: Sandbox, request: Request) -> Response:
    """`GET /device/codes/{user_code}`: public."""
    row = open_code(sandbox, str(request.path_params["user_code"]))
    if row is None:
        return checks.error(sandbox.dialect, 404, "not_found", "Code not found.")
    return checks.as_json(described(sandbox, row))


async def decide_device_code(sandbox: Sandbox, request: Request) -> Response:
    """`POST /device/approve`: only for a person who is signed in. A key must not make a key."""
    if not is_person(sandbox, request):
        if checks.token_of(request):
            return checks.error(sandbox.dialect, 403, "forbidden", "Only a person can decide this.")
        return checks.error(sandbox.dialect, 401, "unauthorized", "Not authenticated.")
    form = await _form(sandbox, request, _Decision)
    row = decided(sandbox, form.user_code, granted=form.granted)
    if row is None:
        return checks.error(sandbox.dialect, 404, "not_found", "Code not found.")
    message = "You can go back to your agent." if row["status"] == "approved" else "Nothing was given."
    return checks.as_json({"status": row["status"], "name": row["name"], "message": message})


async def redeem_device_code(sandbox: Sandbox, request: Request) -> Response:
    """`POST /device/token`: without `Authorization`. The key is in one answer only."""
    if "authorization" in request.headers:
        return checks.error(sandbox.dialect, 400, "bad_request", "Send no Authorization with a device code.")
    form = await _form(sandbox, request, _Token)
    now = sandbox.clock()
    with sandbox.ledger.transaction() as database:
        rows = sandbox.ledger.select("SELECT * FROM device_codes WHERE device_code = ?", fingerprint(form.device_code))
        row = rows[0] if rows else None
        if row is None or row["collected"] or now > row["created_at"] + _expires(sandbox):
            return checks.error(sandbox.dialect, 400, "expired_token", "This code has ended, or was used.")
        early = row["polled_at"] is not None and now - row["polled_at"] < 0.9 * row["interval"]
        slower = _SLOWER_SECONDS / sandbox.pace if early else 0.0
        database.execute(
            "UPDATE device_codes SET polled_at = ?, interval = interval + ? WHERE seq = ?", (now, slower, row["seq"])
        )
        if row["status"] == "denied":
            return checks.error(sandbox.dialect, 403, "access_denied", "The request was denied.")
        if early:
            return checks.error(sandbox.dialect, 400, "slow_down", "Poll less often.")
        if row["status"] == "pending":
            return checks.error(sandbox.dialect, 400, "authorization_pending", "Nobody has decided yet.")
        key = KEY_PREFIX + secrets.token_hex(20)
        # With a sandbox attached, its orders and its key are the account's: both keys are one caller.
        caller = row["attached"] or fingerprint(key)
        database.execute("INSERT INTO issued_keys VALUES (?, ?)", (fingerprint(key), caller))
        database.execute("UPDATE device_codes SET collected = 1 WHERE seq = ?", (row["seq"],))
    return checks.as_json(_issued(sandbox, row, key, now))


async def create_sandbox_key(sandbox: Sandbox, request: Request) -> Response:
    """`POST /sandbox/keys`: public; each address gets a few keys in a day."""
    await _form(sandbox, request, _SandboxKey, may_be_empty=True)
    now, address = sandbox.clock(), request.client.host if request.client else ""
    with sandbox.ledger.transaction() as database:
        minted = sandbox.ledger.select(
            "SELECT 1 FROM minted_keys WHERE address = ? AND at > ?", address, now - _DAY_SECONDS
        )
        if len(minted) >= _MOST_KEYS_A_DAY:
            return checks.error(sandbox.dialect, 429, "rate_limit_exceeded", "Too many keys from here today.")
        database.execute("INSERT INTO minted_keys (at, address) VALUES (?, ?)", (now, address))
    key, base = f"zn_test_{secrets.token_hex(20)}", str(request.base_url).rstrip("/")
    products = [{"url": "https://zinc.com/shop/products/test-success", "quantity": 1}]
    address_fields = {
        **{"first_name": "Ada", "last_name": "Buyer", "address_line1": "12 Main St", "city": "New York"},
        **{"state": "NY", "postal_code": "10001", "phone_number": "2125550100", "country": "US"},
    }
    return checks.as_json(
        {
            "api_key": key,
            "key": key,
            "expires_policy": "Idle keys end after 7 days.",
            "quickstart_url": f"{base}/sandbox/quickstart",
            "example_order": {"products": products, "shipping_address": address_fields, "max_price": 6000},
            "claim_url": f"{base}/sandbox/claim?token={secrets.token_urlsafe(16)}",
            "next": ["Send the key as a bearer token.", "Post example_order to /orders."],
        },
        201,
    )


async def get_sandbox_status(sandbox: Sandbox, request: Request) -> Response:
    """`GET /sandbox/status`: whether a person has taken the sandbox of this key into an account."""
    caller = checks.authorised_caller(sandbox, request)
    rows = sandbox.ledger.select("SELECT 1 FROM device_codes WHERE attached = ? AND collected", caller)
    claimed = bool(rows)
    return checks.as_json(
        {
            "claimed": claimed,
            "claimed_by_email": "person@practice.invalid" if claimed else None,
            "hint": "This key is an account's." if claimed else "Nobody has claimed this sandbox.",
        }
    )


def open_code(sandbox: Sandbox, user_code: str) -> sqlite3.Row | None:
    """Return the row of a code that has not ended, or None. The code may be in any case, with or without the dash."""
    typed = "".join(letter for letter in user_code.upper() if letter.isalpha())[:8]
    rows = sandbox.ledger.select(
        "SELECT * FROM device_codes WHERE user_code = ? AND created_at > ?",
        f"{typed[:4]}-{typed[4:]}",
        sandbox.clock() - _expires(sandbox),
    )
    return rows[0] if rows else None


def described(sandbox: Sandbox, row: sqlite3.Row) -> _Json:
    """Return the facts about a code that the page shows before the decision."""
    reason = _reason(sandbox, row)
    return {
        "user_code": row["user_code"],
        "name": row["name"],
        "source": row["source"],
        "sandbox_attached": row["attached"] is not None,
        "starter_credit_cents": _STARTER_CREDIT if reason == "granted" else None,
        "status": row["status"],
    }


def decided(sandbox: Sandbox, user_code: str, *, granted: bool) -> sqlite3.Row | None:
    """Take a person's decision, and return the row as it stands then. The first decision holds."""
    with sandbox.ledger.transaction() as database:
        row = open_code(sandbox, user_code)
        if row is None:
            return None
        database.execute(
            "UPDATE device_codes SET status = ? WHERE seq = ? AND status = 'pending'",
            ("approved" if granted else "denied", row["seq"]),
        )
        return open_code(sandbox, user_code)


def is_person(sandbox: Sandbox, request: Request) -> bool:
    """Say whether a request carries the cookie of the page."""
    given = request.cookies.get(_PERSON, "")
    return hmac.compare_digest(given.encode(), _person(sandbox).encode())


def with_person(sandbox: Sandbox, answer: Response) -> Response:
    """Give the person who opens the page the cookie that stands for their sign-in."""
    answer.set_cookie(_PERSON, _person(sandbox), path="/", httponly=True, samesite="strict")
    return answer


def _person(sandbox: Sandbox) -> str:
    return hmac.digest(sandbox.ledger.secret.encode(), b"person", hashlib.sha256).hex()


def _issued(sandbox: Sandbox, row: sqlite3.Row, key: str, now: float) -> _Json:
    credit = _reason(sandbox, row)
    answer: _Json = {
        "id": secrets.token_hex(8),
        "key": key,
        "api_key": key,
        "name": row["name"],
        "is_active": True,
        "is_test": False,
        "created_at": when(now),
        "wallet_balance_cents": WALLET_BALANCE,
        "sandbox": None,
        "starter_credit": {
            "cents": _STARTER_CREDIT if credit == "granted" else 0,
            "reason": credit,
            "wallet_balance_cents": WALLET_BALANCE,
            "max_price_cents": WALLET_BALANCE - ORDER_FEE,
            "message": "Practice money: nothing is bought.",
            "picks": [
                {
                    "title": "A bag of coffee",
                    "url": "https://zinc.com/shop/products/test-success",
                    "retailer": "zinc.com",
                    "price_cents": None,
                }
            ],
        },
    }
    if row["attached"] is not None:
        orders = len(sandbox.ledger.orders_of(row["attached"]))
        answer["sandbox"] = {"orders_moved": orders, "keys_moved": 1, "note": "The sandbox key keeps working."}
    return answer


_Reason = Literal["granted", "already_granted", "no_sandbox_order"]


def _reason(sandbox: Sandbox, row: sqlite3.Row) -> _Reason:
    """Return `granted` for the first sign-in with a sandbox that has an order, else the reason for no credit."""
    if row["attached"] is None or not sandbox.ledger.orders_of(row["attached"]):
        return "no_sandbox_order"
    earlier = sandbox.ledger.select(
        "SELECT 1 FROM device_codes WHERE attached = ? AND collected AND seq <> ?", row["attached"], row["seq"]
    )
    return "already_granted" if earlier else "granted"


def _attached(sandbox: Sandbox, request: Request) -> str | None:
    """Return the caller of the test key in a request, or None if it has no key.

    Raises:
        AnsweredError: with a 401: the key is not a test key.
    """
    if "authorization" not in request.headers:
        return None
    if not checks.token_of(request).startswith("zn_test_"):
        raise AnsweredError(checks.error(sandbox.dialect, 401, "invalid_token", "Not a sandbox key."))
    return checks.authorised_caller(sandbox, request)


async def _form(sandbox: Sandbox, request: Request, form: type[_Form], *, may_be_empty: bool = False) -> _Form:
    content = await request.body()
    try:
        return form.model_validate(json.loads(content if content or not may_be_empty else b"{}"))
    except ValidationError as found:
        raise AnsweredError(checks.invalid(sandbox.dialect, problems_in(found, "body"))) from None
    except (ValueError, RecursionError):
        problem = {"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error"}
        raise AnsweredError(checks.invalid(sandbox.dialect, [problem])) from None


def _expires(sandbox: Sandbox) -> float:
    return max(2.0, _EXPIRES_SECONDS / sandbox.pace)


def _interval(sandbox: Sandbox) -> float:
    return _INTERVAL_SECONDS / sandbox.pace

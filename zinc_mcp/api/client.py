"""Zinc's endpoints over HTTP: one attempt each, bounded in size and time, errors sorted by what can be concluded."""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote, urlsplit

import anyio
import httpx
from pydantic import SecretStr, ValidationError

from zinc_mcp.api.failures import Failure, read_failure
from zinc_mcp.api.responses import Order
from zinc_mcp.errors import (
    OrderAlreadyExistsError,
    OrderNotFoundError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    SettingsError,
    UnreadableAnswerError,
    ZincMcpError,
    ZincUnreachableError,
)

MAX_ANSWER_BYTES = 4 * 1024 * 1024
WIRE_SECONDS = 60.0
READ_SECONDS = 15.0

# Raised before a byte of the request can have left (httpx, "Exceptions").
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    content: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


def check_origin(origin: str) -> str:
    """Return `origin` as scheme, host and port only.

    Raises:
        SettingsError: unless it is https, or plain http to a loopback address.
    """
    try:
        parts = urlsplit(origin.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise SettingsError("ZINC_API_URL is not an address like https://api.zinc.com.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingsError("ZINC_API_URL must use https; plain http is taken for loopback addresses only.")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ZincClient:
    """Talks to one Zinc origin. Never retries, never follows a redirect, never reads an answer without bounds."""

    def __init__(
        self,
        origin: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        wire_seconds: float = WIRE_SECONDS,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        """Prepare a client for `origin`; nothing is connected yet.

        Args:
            origin: scheme, host and port of the API.
            transport: stands for the network in tests and in the built-in sandbox.
            wire_seconds: the most one placing request may take, from connecting to the last byte.
            read_seconds: the same for reads.

        Raises:
            SettingsError: if `origin` is neither https nor loopback.
        """
        self.origin = check_origin(origin)
        self._wire_seconds = wire_seconds
        self._read_seconds = read_seconds
        self._http = httpx.AsyncClient(
            base_url=self.origin,
            transport=transport,
            follow_redirects=False,
            trust_env=False,  # a proxy from the environment would see the order and the key
            timeout=httpx.Timeout(wire_seconds, connect=10.0, pool=10.0),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=15.0),
            headers={"User-Agent": "zinc-mcp", "Accept": "application/json"},
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def create_order(self, body: bytes, api_key: SecretStr) -> Order:
        """Send `POST /orders` once with exactly these bytes.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderRejectedError: Zinc answered no.
            OrderAlreadyExistsError: the key was used before.
            OrderOutcomeUnknownError: sent, and no usable answer came.
        """
        headers = {"Content-Type": "application/json", **_bearer(api_key)}
        try:
            with anyio.fail_after(self._wire_seconds):
                answer = await self._exchange("POST", "/orders", content=body, headers=headers)
        except _NOTHING_SENT as error:
            raise _unreachable() from error
        except TimeoutError as error:
            raise _unknown("no answer came in time", "timeout") from error
        except _TooLargeError as error:
            raise _unknown("the answer was too large to read", "unreadable") from error
        except httpx.HTTPError as error:
            raise _unknown("the connection was lost before the answer", "connection_lost") from error
        return _placed(answer)

    async def get_order(self, order_id: str, api_key: SecretStr) -> Order:
        """Read one order.

        Raises:
            OrderNotFoundError: unknown, or not this key's.
            ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: as for every read.
        """
        answer = await self._read(f"/orders/{quote(order_id, safe='')}", api_key)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise OrderNotFoundError("Zinc knows no such order for this account.")
        try:
            return Order.model_validate(_ok(answer))
        except ValidationError as error:
            raise _unreadable() from error

    async def find_orders(self, metadata_key: str, metadata_value: str, api_key: SecretStr) -> list[Order]:
        """List the orders whose metadata holds exactly this pair (`GET /orders`, since SDK 8.21).

        An empty list proves nothing: listings may lag. Rows that are not orders are passed over.
        """
        parameters = {"metadata_key": metadata_key, "metadata_value": metadata_value}
        listed = _ok(await self._read("/orders", api_key, parameters))
        rows: Any = cast(Any, listed).get("orders") if isinstance(listed, Mapping) else listed
        found: list[Order] = []
        for row in cast(list[Any], rows) if isinstance(rows, list) else []:
            try:
                order = Order.model_validate(row)
            except ValidationError:
                continue
            # A server that ignores the filter must not make a stranger's order ours.
            if order.metadata.get(metadata_key) == metadata_value:
                found.append(order)
        return found

    async def get_wallet(self, api_key: SecretStr) -> Mapping[str, Any]:
        """Read `GET /wallet/me`: the Zinc balance and the order fee, in cents."""
        wallet = _ok(await self._read("/wallet/me", api_key))
        return cast(Mapping[str, Any], wallet) if isinstance(wallet, Mapping) else {}

    async def get_health(self) -> str:
        """Read `GET /health` (public) and return its `status`."""
        health = _ok(await self._read("/health", None))
        return str(cast(Any, health).get("status", "unknown")) if isinstance(health, Mapping) else "unknown"

    async def _read(self, path: str, api_key: SecretStr | None, parameters: Mapping[str, str] | None = None) -> _Answer:
        try:
            with anyio.fail_after(self._read_seconds):
                return await self._exchange(
                    "GET", path, headers=_bearer(api_key) if api_key else {}, params=dict(parameters or {})
                )
        except _NOTHING_SENT as error:
            raise _unreachable() from error
        except (TimeoutError, httpx.HTTPError, _TooLargeError) as error:
            raise _unreadable() from error

    async def _exchange(self, verb: str, path: str, **request: Any) -> _Answer:
        async with self._http.stream(verb, path, **request) as response:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise _TooLargeError
            return _Answer(response.status_code, response.headers, bytes(content))


class _TooLargeError(Exception):
    pass


def _bearer(api_key: SecretStr) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key.get_secret_value()}"}


def _placed(answer: _Answer) -> Order:
    """Sort the answer to a placing request by what it proves."""
    if 200 <= answer.status < 300:
        try:
            return Order.model_validate(answer.json())
        except ValidationError as error:
            raise _unknown("the answer could not be read", "unreadable") from error
    if 400 <= answer.status < 500 and answer.status not in (HTTPStatus.REQUEST_TIMEOUT, 499):
        failure = read_failure(answer.json())
        if answer.status == HTTPStatus.CONFLICT and failure.code in ("already_exists", "other"):
            raise OrderAlreadyExistsError(
                "Zinc has had an order with this idempotency key before.",
                status=answer.status,
                zinc_code="already_exists",
                identifiers=failure.identifiers,
            )
        raise _rejected(answer.status, failure)
    # A redirect is not followed and a 5xx may come after the order was accepted: neither is an answer.
    raise _unknown(f"Zinc answered with HTTP status {answer.status}", f"http_{answer.status}")


def _ok(answer: _Answer) -> object:
    if 200 <= answer.status < 300:
        decoded = answer.json()
        if decoded is None:
            raise _unreadable()
        return cast(object, decoded)
    if 400 <= answer.status < 500:
        raise _rejected(answer.status, read_failure(answer.json()))
    raise _unreadable()


def _rejected(status: int, failure: Failure) -> OrderRejectedError:
    return OrderRejectedError(
        failure.sentence(status),
        failure.next_step(status),
        status=status,
        zinc_code=failure.code,
        facts=failure.facts,
        problems=failure.problems,
    )


def _unknown(how: str, reason: str) -> ZincMcpError:
    return OrderOutcomeUnknownError(f"The order was sent, but {how}.", facts={"reason": reason})


def _unreachable() -> ZincMcpError:
    return ZincUnreachableError("Zinc could not be reached, so nothing was sent.")


def _unreadable() -> ZincMcpError:
    return UnreadableAnswerError("Zinc did not give a readable answer just now.")

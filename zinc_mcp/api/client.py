"""Zinc's endpoints over HTTP: one attempt each, bounded in size and time, errors sorted by what can be concluded."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import anyio
from pydantic import SecretStr, ValidationError

from zinc_mcp.api.failures import Failure, read_failure
from zinc_mcp.api.products import Product
from zinc_mcp.api.responses import MAX_ROWS, Order, order_in
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

if TYPE_CHECKING:
    import httpx  # loaded with the first request: nobody waits for it, or for its certificates, to see the tools

MAX_ANSWER_BYTES = 4 * 1024 * 1024
WIRE_SECONDS = 60.0
READ_SECONDS = 15.0

# Compressed, a megabyte would come in a kilobyte, and be a megabyte before anybody can count it.
_ALWAYS_SENT = {
    "User-Agent": "zinc-mcp",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
}

_ORIGIN = re.compile(
    r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?((?:/[A-Za-z0-9_-]+)*)/*",
)
_DEFAULT_PORTS = {"https": "443", "http": "80"}
# What may stand in a path as one segment that nothing on the way takes for another path.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")
_CHALLENGE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")  # base64url, which may begin with any of its letters


OnHeaders = Callable[[int, "httpx.Headers"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """A whole answer, within bounds. Headers and content may hold secrets and addresses."""

    status: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the decoded body, or None when it is not JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


def check_origin(origin: str) -> str:
    """Return `origin` in one spelling: scheme, host, a port that is not the scheme's own, and a path if it has one.

    Raises:
        SettingsError: unless it is https, or plain http to a loopback address.
    """
    scheme, _, rest = origin.strip().partition("://")
    host, slash, path = rest.partition("/")
    parts = _ORIGIN.fullmatch(f"{scheme.lower()}://{host.lower()}{slash}{path}")
    if parts is None or int(parts[3] or 1) > 65535 or not _exists(parts[2]):
        raise SettingsError("ZINC_API_URL is not an address like https://api.zinc.com.")
    if parts[1] == "http" and not _is_loopback(parts[2].strip("[]")):
        raise SettingsError("ZINC_API_URL must use https; plain http is taken for loopback addresses only.")
    port = f":{parts[3]}" if parts[3] and parts[3] != _DEFAULT_PORTS[parts[1]] else ""
    return f"{parts[1]}://{parts[2]}{port}{parts[4]}"


def _exists(host: str) -> bool:
    if not host.startswith("["):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).version == 6
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ZincClient:
    """Talks to one Zinc origin. Never retries, never follows a redirect, never reads an answer without bounds.

    It keeps connections and nothing else: no cookie of one API key comes near a request with another.
    """

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
            origin: scheme, host and port of the API, as `check_origin` takes them.
            transport: stands for the network in tests and in the built-in sandbox.
            wire_seconds: the most one placing request may take, from connecting to the last byte.
            read_seconds: the same for reads.

        Raises:
            SettingsError: if `origin` is neither https nor loopback.
        """
        self.origin = check_origin(origin)
        self._wire_seconds = wire_seconds
        self._read_seconds = read_seconds
        # Short of the whole, or a connection that never came about would count as an order in doubt.
        connecting = min(10.0, wire_seconds / 4)
        self._timeouts = {"connect": connecting, "pool": connecting, "read": wire_seconds, "write": wire_seconds}
        self._transport = transport

    def _wire(self) -> httpx.AsyncBaseTransport:
        """Return the connections, opened on first use.

        A transport and no `httpx.AsyncClient` around it: of what that adds (redirects, cookies, proxies and keys from
        the environment, decompression) nothing may happen here, and it takes a third of the time of a request.

        Raises:
            ZincUnreachableError: they cannot be opened, for want of certificates say: nothing was sent.
        """
        if self._transport is None:
            import httpx

            limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=15.0)
            try:
                self._transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
            except OSError as error:  # ssl.SSLError is one
                raise _unreachable() from error
        return self._transport

    async def aclose(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()

    async def create_order(self, body: bytes, api_key: SecretStr) -> Order:
        """Send `POST /orders` once with exactly these bytes.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderRejectedError: Zinc answered no.
            OrderAlreadyExistsError: the key was used before.
            OrderOutcomeUnknownError: sent, and no usable answer came.
        """
        return placed_order(await self.post_order("/orders", body, _bearer(api_key)))

    async def post_order(
        self, path: str, body: bytes, headers: Mapping[str, str], on_headers: OnHeaders | None = None
    ) -> WireAnswer:
        """Send one placing request with exactly these bytes and return the answer, whatever it says.

        `on_headers` is awaited as soon as the headers have arrived, before the body is read.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderOutcomeUnknownError: sent, and no whole answer came.
        """
        import httpx

        wire = self._wire()  # before what follows takes a failure for one of the wire
        request = self._request("POST", path, {"Content-Type": "application/json", **headers}, body)
        try:
            with anyio.fail_after(self._wire_seconds):
                return await _exchange(wire, request, on_headers)
        except _nothing_sent() as error:
            raise _unreachable() from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _unknown("no answer came in time", "timeout") from error
        except _NotReadError as error:
            raise _unknown("the answer was too large or packed, and was not read", "unreadable") from error
        except (httpx.HTTPError, OSError) as error:
            raise _unknown("the connection was lost before the answer", "connection_lost") from error

    async def get_order(self, order_id: str, api_key: SecretStr) -> Order:
        """Read one order.

        Raises:
            OrderNotFoundError: unknown, or not this key's.
            ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: as for every read.
        """
        if not _ID.fullmatch(order_id):
            raise OrderNotFoundError("No order has an id like this.")
        answer = await self._read(f"/orders/{order_id}", api_key)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise OrderNotFoundError("Zinc knows no such order for this account.")
        _refuse_a_no(answer)
        try:
            return order_in(answer.content)
        except ValueError as error:
            raise _unreadable() from error

    async def find_orders(self, metadata_key: str, metadata_value: str, api_key: SecretStr) -> list[Order]:
        """List the orders whose metadata holds exactly this pair (`GET /orders`, since SDK 8.21).

        An empty list proves nothing: listings may lag. Rows that are not orders are passed over.
        """
        parameters = {"metadata_key": metadata_key, "metadata_value": metadata_value}
        listed = _ok(await self._read("/orders", api_key, parameters))
        rows: Any = cast(Any, listed).get("orders") if isinstance(listed, Mapping) else listed
        found: list[Order] = []
        for row in cast(list[Any], rows)[:MAX_ROWS] if isinstance(rows, list) else []:
            try:
                order = Order.model_validate(row)
            except ValidationError:
                continue
            # A server that ignores the filter must not make a stranger's order ours.
            if order.metadata.get(metadata_key) == metadata_value:
                found.append(order)
        return found

    async def get_product(self, retailer: str, product_id: str, api_key: SecretStr) -> Product:
        """Read `GET /products/{id}`: title and listed price. Costs a cent with a live key.

        Raises:
            ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: as for every read.
        """
        answer = await self._read(f"/products/{quote(product_id, safe='')}", api_key, {"retailer": retailer})
        try:
            return Product.model_validate(_ok(answer))
        except ValidationError as error:
            raise _unreadable() from error

    async def get_wallet(self, api_key: SecretStr) -> Mapping[str, Any]:
        """Read `GET /wallet/me`: the Zinc balance and the order fee, in cents."""
        wallet = _ok(await self._read("/wallet/me", api_key))
        return cast(Mapping[str, Any], wallet) if isinstance(wallet, Mapping) else {}

    async def get_practice_settlement(self, challenge_id: str) -> Mapping[str, Any]:
        """Read what became of a practice payment: the sandbox's own endpoint, which no real Zinc has."""
        if not _CHALLENGE_ID.fullmatch(challenge_id):
            return {}
        settlement = _ok(await self._read(f"/practice/settlements/{challenge_id}", None))
        return cast(Mapping[str, Any], settlement) if isinstance(settlement, Mapping) else {}

    async def get_health(self) -> str:
        """Read `GET /health` (public) and return its `status`."""
        health = _ok(await self._read("/health", None))
        status: object = cast(Mapping[str, Any], health).get("status") if isinstance(health, Mapping) else None
        return status if isinstance(status, str) else "unknown"

    async def _read(
        self, path: str, api_key: SecretStr | None, parameters: Mapping[str, str] | None = None
    ) -> WireAnswer:
        import httpx

        wire = self._wire()
        request = self._request("GET", path, _bearer(api_key) if api_key else {}, parameters=parameters)
        try:
            with anyio.fail_after(self._read_seconds):
                return await _exchange(wire, request)
        except _nothing_sent() as error:
            raise _unreachable() from error
        except (httpx.HTTPError, OSError, _NotReadError) as error:
            raise _unreadable() from error

    def _request(
        self,
        verb: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> httpx.Request:
        import httpx

        return httpx.Request(
            verb,
            _url(self.origin + path),
            headers={**_ALWAYS_SENT, **headers},
            content=body,
            params=parameters,
            extensions={"timeout": self._timeouts},
        )


@lru_cache(maxsize=64)
def _url(address: str) -> httpx.URL:
    """Return a parsed address: most requests go to the same few, and parsing takes a third of making a request."""
    import httpx

    return httpx.URL(address)


async def _exchange(
    wire: httpx.AsyncBaseTransport, request: httpx.Request, on_headers: OnHeaders | None = None
) -> WireAnswer:
    response = await wire.handle_async_request(request)
    try:
        if on_headers is not None:
            await on_headers(response.status_code, response.headers)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _NotReadError
        content = bytearray()
        async for chunk in cast("httpx.AsyncByteStream", response.stream):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise _NotReadError
        return WireAnswer(response.status_code, response.headers, _without_secret(bytes(content), request.headers))
    finally:
        await response.aclose()


class _NotReadError(Exception):
    """The answer is larger than the bound, or may become so."""


def _nothing_sent() -> tuple[type[Exception], ...]:
    """Return what is raised before a byte of the request can have left (httpx, "Exceptions")."""
    import httpx

    return (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def _without_secret(content: bytes, headers: Mapping[str, str]) -> bytes:
    """Blot the key out of an answer that quotes it: what Zinc says is shown to models as data."""
    secret = headers.get("Authorization", "").removeprefix("Bearer ").encode()
    return content.replace(secret, b"[redacted]") if len(secret) > 4 else content


def _bearer(api_key: SecretStr) -> dict[str, str]:
    secret = api_key.get_secret_value()
    if not secret or any(not 33 <= ord(character) <= 126 for character in secret):
        # A line break would start a header of its own, and the HTTP library's objection would quote the key.
        raise ZincUnreachableError(
            "The API key holds characters that no API key has, so nothing was sent.",
            "Tell the user to correct ZINC_API_KEY.",
        )
    return {"Authorization": f"Bearer {secret}"}


def placed_order(answer: WireAnswer) -> Order:
    """Sort the answer to a placing request by what it proves.

    Raises:
        OrderRejectedError: Zinc answered no.
        OrderAlreadyExistsError: the key was used before.
        OrderOutcomeUnknownError: it is no usable answer.
    """
    if 200 <= answer.status < 300:
        try:
            return order_in(answer.content)
        except ValueError as error:
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


def _ok(answer: WireAnswer) -> object:
    _refuse_a_no(answer)
    decoded = answer.json()
    if decoded is None:
        raise _unreadable()
    return cast(object, decoded)


def _refuse_a_no(answer: WireAnswer) -> None:
    if 400 <= answer.status < 500:
        raise _rejected(answer.status, read_failure(answer.json()))
    if not 200 <= answer.status < 300:
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

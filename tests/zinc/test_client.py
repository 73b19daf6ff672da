"""Zinc's endpoints get exact requests, each answer proves what it should, and a failing network does no harm."""

import gzip
import json
import logging
import ssl
import time
import traceback
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
from fake_zinc import failure
from pydantic import SecretStr

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
from zinc_mcp.network import MAX_ANSWER_BYTES
from zinc_mcp.zinc.account.account import get_health, get_wallet
from zinc_mcp.zinc.aftercare.cases import case_change, closing_change, get_case, list_cases, message_change
from zinc_mcp.zinc.aftercare.changes import Change, send_change
from zinc_mcp.zinc.aftercare.returns import list_returns, return_change
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.origin import check_origin
from zinc_mcp.zinc.placed.order_list import find_orders

PLANTED = "zn_test_planted5a1e"
KEY = SecretStr(PLANTED)
BODY = b'{"max_price":5000}'
ORDER: dict[str, Any] = {"id": "order-1", "status": "pending", "max_price": 5000}


@pytest.mark.parametrize(
    ("change", "path", "content"),
    [
        (
            return_change("order-1", [("item-1", 2)], "damaged", "ä"),
            "/returns",
            '{"items":[{"order_item_id":"item-1","quantity":2}],"notes":"ä","order_id":"order-1","reason":"damaged"}',
        ),
        (return_change("order-1", [("item-1", 2)], "other", None), "/returns", None),
        (case_change("order-1", "late", "When?"), "/cases", None),
        (message_change("case-1", "When?"), "/cases/case-1/messages", None),
        (closing_change("case-1"), "/cases/case-1/close", ""),
    ],
)
async def test_a_change_is_these_bytes_at_its_address(change: Change, path: str, content: str | None) -> None:
    mock = Mock(httpx.Response(201, json={}))
    left: list[int] = []
    await send_change(mock.client(), change, KEY, lambda: left.append(1))
    (request,) = mock.requests
    assert (request.method, str(request.url)) == ("POST", f"https://zinc.example{path}")
    assert request.headers["authorization"] == f"Bearer {PLANTED}"
    assert request.headers["content-type"] == change.content_type
    assert request.content == change.content.encode()
    assert content in (None, change.content)
    assert left == [1]


FOUND = {**ORDER, "metadata": {"zinc_mcp_key": "k"}}

Call = Callable[[ZincClient], Awaitable[Any]]


async def place(client: ZincClient) -> Any:
    return await client.create_order(BODY, KEY)


async def read(client: ZincClient) -> Any:
    return await client.get_order("order-1", KEY)


async def find(client: ZincClient) -> Any:
    return await find_orders(client, "zinc_mcp_key", "k", KEY)


async def returns(client: ZincClient) -> Any:
    return await list_returns(client, "order-1", KEY)


async def cases(client: ZincClient) -> Any:
    return await list_cases(client, "order-1", KEY)


async def case(client: ZincClient) -> Any:
    return await get_case(client, "order-1", KEY)


async def wallet(client: ZincClient) -> Any:
    return await get_wallet(client, KEY)


async def health(client: ZincClient) -> Any:
    return await get_health(client)


READS: dict[str, Call] = {"read": read, "find": find, "wallet": wallet, "health": health}


class Mock:
    """Gives the same answer to every request, or raises the same exception, and keeps what it was asked."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def client(self, origin: str = "https://zinc.example") -> ZincClient:
        """Return a client with this as its network."""
        return ZincClient(origin, transport=httpx.MockTransport(self))


async def outcome(answer: httpx.Response | Exception, call: Call = place) -> Any:
    """Return the result or exception of a call, after checking that one request went out and no error holds the key."""
    mock = Mock(answer)
    client = mock.client()
    try:
        return await call(client)
    except ZincMcpError as error:
        _hides_the_key(error)
        return error
    finally:
        await client.aclose()
        assert len(mock.requests) == 1


def _hides_the_key(error: BaseException) -> None:
    assert PLANTED not in "".join(traceback.format_exception(error))
    chained: BaseException | None = error
    while chained is not None:
        assert PLANTED not in f"{chained!r} {chained}"
        assert PLANTED not in f"{vars(chained)!r}"
        chained = chained.__cause__ or chained.__context__


# Requests


async def test_a_placing_request_is_these_bytes_and_these_headers() -> None:
    mock = Mock(httpx.Response(201, json=ORDER))
    await place(mock.client())
    (request,) = mock.requests
    assert (request.method, str(request.url), request.content) == ("POST", "https://zinc.example/orders", BODY)
    assert dict(request.headers) == {
        "host": "zinc.example",
        "accept": "application/json",
        "accept-encoding": "identity",
        "connection": "keep-alive",
        "user-agent": "zinc-mcp",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "authorization": f"Bearer {PLANTED}",
    }


@pytest.mark.parametrize(
    ("call", "url", "authorized"),
    [
        (read, "https://zinc.example/orders/order-1", True),
        (find, "https://zinc.example/orders?metadata_key=zinc_mcp_key&metadata_value=k&limit=50", True),
        (wallet, "https://zinc.example/wallet/me", True),
        (returns, "https://zinc.example/returns?search=order-1&limit=100", True),
        (cases, "https://zinc.example/cases?order_id=order-1&limit=50", True),
        (case, "https://zinc.example/cases/order-1", True),
        (health, "https://zinc.example/health", False),
    ],
)
async def test_a_read_goes_to_its_own_address(call: Call, url: str, authorized: bool) -> None:
    mock = Mock(httpx.Response(200, json=ORDER))
    await call(mock.client())
    (request,) = mock.requests
    assert (request.method, str(request.url), request.content) == ("GET", url, b"")
    assert request.headers.get("authorization") == (f"Bearer {PLANTED}" if authorized else None)


async def test_a_path_in_the_origin_stays_in_front() -> None:
    mock = Mock(httpx.Response(200, json=ORDER))
    await read(mock.client("https://gateway.example/zinc/"))
    assert str(mock.requests[0].url) == "https://gateway.example/zinc/orders/order-1"


@pytest.mark.parametrize(
    "order_id",
    ["", ".", "..", "../wallet/me", "a/b", "a?b=c", "a#b", "a%2fb", "a b", "a\r\nX: y", "\u00e9", "a\\b", "x" * 101],
)
async def test_a_text_that_is_no_order_id_never_becomes_a_path(order_id: str) -> None:
    mock = Mock(httpx.Response(200, json=ORDER))
    with pytest.raises(OrderNotFoundError):
        await mock.client().get_order(order_id, KEY)
    assert mock.requests == []


@pytest.mark.parametrize("metadata_value", ["a&metadata_key=b", "a#b", "a\r\nX: y", "\u00e9 +"])
async def test_a_filter_stays_one_parameter(metadata_value: str) -> None:
    mock = Mock(httpx.Response(200, json={"orders": []}))
    await find_orders(mock.client(), "zinc_mcp_key", metadata_value, KEY)
    assert mock.requests[0].url.params.multi_items() == [
        ("metadata_key", "zinc_mcp_key"),
        ("metadata_value", metadata_value),
        ("limit", "50"),
    ]


class EveryOrder:
    """A Zinc of the releases that had no filter: lists all orders there are, page by page."""

    def __init__(self, metadata: list[dict[str, str]], limit: int = 50) -> None:
        self.orders = [{**ORDER, "id": f"order-{number}", "metadata": each} for number, each in enumerate(metadata)]
        self.limit = limit
        self.offsets: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params.get("offset", 0))
        self.offsets.append(offset)
        page = self.orders[offset : offset + self.limit]
        total = {"total": len(self.orders), "limit": self.limit, "offset": offset}
        return httpx.Response(200, json={"orders": page, **total})

    async def find(self, value: str) -> list[str]:
        client = ZincClient("https://zinc.example", transport=httpx.MockTransport(self))
        return [order.id for order in await find_orders(client, "zinc_mcp_key", value, KEY)]


async def test_where_lists_are_not_filtered_an_order_is_found_on_a_later_page() -> None:
    zinc = EveryOrder([{"zinc_mcp_key": f"k{number}"} for number in range(120)])
    assert await zinc.find("k119") == ["order-119"]
    assert zinc.offsets == [0, 50, 100]
    assert await zinc.find("nobody's") == []
    assert zinc.offsets == [0, 50, 100] * 2


async def test_no_more_pages_are_read_than_are_needed_or_than_ten() -> None:
    zinc = EveryOrder([{"zinc_mcp_key": f"k{number}"} for number in range(900)])
    assert await zinc.find("k7") == ["order-7"]
    assert zinc.offsets == [0]
    assert await zinc.find("k899") == []
    assert len(zinc.offsets) == 1 + 10


async def test_a_list_that_never_gets_further_is_not_read_for_ever() -> None:
    zinc = EveryOrder([{}] * 900, limit=0)
    assert await zinc.find("k") == []
    assert zinc.offsets == [0]


@pytest.mark.parametrize("secret", [f"{PLANTED}\r\nX-Evil: 1", f"{PLANTED} ", f"{PLANTED}\x00", f"\u00e9{PLANTED}", ""])
async def test_a_key_that_is_no_header_value_is_not_sent(secret: str) -> None:
    mock = Mock(httpx.Response(201, json=ORDER))
    with pytest.raises(ZincUnreachableError) as caught:
        await mock.client().create_order(BODY, SecretStr(secret))
    assert mock.requests == []
    assert "ZINC_API_KEY" in caught.value.next_step
    _hides_the_key(caught.value)


# Answers to placing requests


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_a_readable_order_is_returned(status: int) -> None:
    order = await outcome(httpx.Response(status, json=ORDER))
    assert (order.id, order.stage) == ("order-1", "accepted")


NO_ANSWERS = {
    "a redirect": httpx.Response(302, headers={"Location": "https://evil.example/orders"}),
    "a permanent redirect": httpx.Response(308, headers={"Location": "/v2/orders"}),
    "not modified": httpx.Response(304),
    "a request time-out": httpx.Response(408, json={"error": {"code": "bad_request"}}),
    "a connection nginx saw closed": httpx.Response(499),
    **{f"a {status}": failure(status, "internal_error") for status in (500, 501, 502, 503, 504, 520, 524, 599)},
    "an HTML 502": httpx.Response(502, html="<h1>Bad gateway</h1>"),
    "nothing": httpx.Response(201),
    "no content": httpx.Response(204),
    "an HTML 200": httpx.Response(200, html="<h1>Welcome</h1>"),
    "half an order": httpx.Response(201, content=b'{"id": "order-1", "stat'),
    "a list": httpx.Response(201, json=[ORDER]),
    "null": httpx.Response(201, content=b"null"),
    "an error under 200": httpx.Response(200, json={"error": {"code": "insufficient_funds"}}),
    "no text": httpx.Response(201, content=b"\xff\xfe\x00"),
    "a number without an end": httpx.Response(201, content=b"9" * 10_000),
    "ten thousand lists": httpx.Response(201, content=b"[" * 10_000),
    "a packed answer": httpx.Response(201, headers={"Content-Encoding": "br"}, content=b"x"),
    "too much": httpx.Response(201, content=b" " * (MAX_ANSWER_BYTES + 1)),
}


@pytest.mark.parametrize("what", NO_ANSWERS)
async def test_an_unreadable_answer_leaves_the_order_in_doubt(what: str) -> None:
    error = await outcome(NO_ANSWERS[what])
    assert type(error) is OrderOutcomeUnknownError
    assert error.money_may_have_moved


REJECTIONS = [
    (400, {"error": {"code": "invalid_variant"}}, "invalid_variant"),
    (401, {"error": {"code": "unauthorized"}}, "unauthorized"),
    (402, {"error": {"code": "insufficient_funds"}}, "insufficient_funds"),
    (403, {"code": "forbidden"}, "forbidden"),
    (404, {"detail": "Not Found"}, "other"),
    (409, {"error": {"code": "payment_failed"}}, "payment_failed"),
    (413, None, "other"),
    (422, {"detail": [{"loc": ["body", "max_price"], "msg": "Too small", "type": "x"}]}, "validation_error"),
    (429, {"error": {"code": "rate_limit_exceeded"}}, "rate_limit_exceeded"),
]


@pytest.mark.parametrize(("status", "body", "code"), REJECTIONS)
async def test_a_clear_refusal_is_a_rejection(status: int, body: Any, code: str) -> None:
    error = await outcome(httpx.Response(status, json=body) if body else httpx.Response(status, html="<h1>No</h1>"))
    assert type(error) is OrderRejectedError
    assert (error.status, error.zinc_code) == (status, code)
    assert not error.money_may_have_moved


async def test_a_rejection_carries_the_numbers_and_the_fields() -> None:
    short = await outcome(failure(402, "insufficient_funds", required=5100, available=12))
    assert (short.facts["required_cents"], short.facts["available_cents"]) == (5100, 12)
    invalid = await outcome(httpx.Response(422, json={"detail": [{"loc": ["body", "max_price"], "msg": "x"}]}))
    assert [problem.field for problem in invalid.problems] == ["max_price"]


@pytest.mark.parametrize(
    ("answer", "identifiers"),
    [
        (failure(409, "already_exists", resource="Order", identifier="k"), ("k",)),
        (failure(409, "already_exists", identifier="k", order_id="order-1"), ("order-1", "k")),
        (httpx.Response(409, json={"detail": "Conflict"}), ()),
        (httpx.Response(409, html="<h1>Conflict</h1>"), ()),
    ],
)
async def test_a_used_key_says_that_an_order_landed(answer: httpx.Response, identifiers: tuple[str, ...]) -> None:
    error = await outcome(answer)
    assert type(error) is OrderAlreadyExistsError
    assert (error.code, error.zinc_code, error.identifiers) == ("order_exists", "already_exists", identifiers)


async def test_an_answer_that_quotes_the_key_does_not_pass_it_on() -> None:
    error = await outcome(httpx.Response(401, json={"error": {"code": "unauthorized", "message": f"bad {PLANTED}"}}))
    assert error.facts["zinc_message"] == "bad [redacted]"


# Exceptions of the network

NOTHING_SENT: list[Exception] = [
    httpx.ConnectError("refused"),
    httpx.ConnectTimeout("slow"),
    httpx.ProxyError("what"),
    httpx.PoolTimeout("full"),
    httpx.UnsupportedProtocol("what"),
]
SENT: list[Exception] = [
    httpx.ReadError("reset"),
    httpx.WriteError("reset"),
    httpx.CloseError("reset"),
    httpx.ReadTimeout("slow"),
    httpx.WriteTimeout("slow"),
    httpx.RemoteProtocolError("gone"),
    httpx.LocalProtocolError("what"),
    httpx.DecodingError("what"),
    httpx.TooManyRedirects("round and round"),
    ssl.SSLError("bad record mac"),
    ConnectionResetError("reset"),
    TimeoutError("slow"),
]


def test_every_exception_of_the_http_library_is_in_the_tables() -> None:
    def below(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    abstract = {httpx.RequestError, httpx.TransportError, httpx.TimeoutException, httpx.NetworkError}
    abstract |= {httpx.ProtocolError}
    assert below(httpx.RequestError) - abstract <= {type(error) for error in (*NOTHING_SENT, *SENT)}


@pytest.mark.parametrize("error", NOTHING_SENT, ids=repr)
async def test_without_a_connection_nothing_was_sent(error: Exception) -> None:
    for call in (place, *READS.values()):
        assert type(await outcome(error, call)) is ZincUnreachableError


@pytest.mark.parametrize("error", SENT, ids=repr)
async def test_a_failure_after_the_connection_leaves_doubt(error: Exception) -> None:
    assert type(await outcome(error)) is OrderOutcomeUnknownError
    for call in READS.values():
        assert type(await outcome(error, call)) is UnreadableAnswerError


@pytest.mark.parametrize(
    ("error", "reason"), [(httpx.ReadTimeout(""), "timeout"), (httpx.ReadError(""), "connection_lost")]
)
async def test_doubt_says_where_it_comes_from(error: Exception, reason: str) -> None:
    assert (await outcome(error)).facts["reason"] == reason


# Reads


@pytest.mark.parametrize("what", [what for what in NO_ANSWERS if what not in ("a list", "a request time-out")])
@pytest.mark.parametrize("call", [read, wallet], ids=["read", "wallet"])
async def test_an_unreadable_answer_to_a_read_is_told_as_such(what: str, call: Call) -> None:
    if call is wallet and what == "an error under 200":
        return
    error = await outcome(NO_ANSWERS[what], call)
    assert isinstance(error, UnreadableAnswerError | OrderRejectedError)
    assert isinstance(error, OrderRejectedError) == (what == "a connection nginx saw closed")


@pytest.mark.parametrize("answer", [failure(404, "not_found"), httpx.Response(404, html="<h1>?</h1>")])
async def test_an_order_zinc_does_not_know_is_not_found(answer: httpx.Response) -> None:
    assert type(await outcome(answer, read)) is OrderNotFoundError


@pytest.mark.parametrize("call", READS)
async def test_a_read_can_be_refused(call: str) -> None:
    error = await outcome(failure(401, "unauthorized"), READS[call])
    assert (type(error), error.zinc_code) == (OrderRejectedError, "unauthorized")


LISTS: dict[str, tuple[object, int]] = {
    "with paging": ({"orders": [FOUND], "total": 1, "limit": 50, "offset": 0}, 1),
    "without paging": ({"orders": [FOUND]}, 1),
    "bare": ([FOUND], 1),
    "empty": ({"orders": []}, 0),
    "of something else": ({"orders": [None, 1, {}, {"id": "x"}, FOUND]}, 1),
    "that ignores the filter": ({"orders": [ORDER, {**FOUND, "metadata": {"zinc_mcp_key": "other"}}]}, 0),
    "that is none": ({"orders": {"a": FOUND}}, 0),
    "under another name": ({"data": [FOUND]}, 0),
    "of more rows than are read": ([*[{}] * 10_000, FOUND], 0),
}


@pytest.mark.parametrize("what", LISTS)
async def test_a_list_is_read_as_far_as_it_is_one(what: str) -> None:
    listed, expected = LISTS[what]
    started = time.process_time()
    found = await outcome(httpx.Response(200, json=listed), find)
    assert time.process_time() - started < 1.5
    assert [order.id for order in found] == ["order-1"] * expected


async def test_the_wallet_and_the_health_are_read_as_far_as_they_go() -> None:
    assert await outcome(httpx.Response(200, json={"balance": 5}), wallet) == {"balance": 5}
    assert await outcome(httpx.Response(200, json=[5]), wallet) == {}
    assert await outcome(httpx.Response(200, json={"status": "ok"}), health) == "ok"
    for odd in ("[]", "{}", '{"status": [["x"]]}'):
        assert await outcome(httpx.Response(200, text=odd), health) == "unknown"


# Origins

ORIGINS = {
    "https://api.zinc.com": "https://api.zinc.com",
    " https://API.zinc.com/ ": "https://api.zinc.com",
    "HTTPS://api.zinc.com:443": "https://api.zinc.com",
    "https://api.zinc.com:8443": "https://api.zinc.com:8443",
    "https://gateway.example/zinc/v2/": "https://gateway.example/zinc/v2",
    "https://xn--bcher-kva.de": "https://xn--bcher-kva.de",
    "http://localhost:8000": "http://localhost:8000",
    "http://127.0.0.1:80": "http://127.0.0.1",
    "http://127.8.8.8:9": "http://127.8.8.8:9",
    "http://[::1]:8000": "http://[::1]:8000",
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_an_origin_has_one_spelling(origin: str) -> None:
    assert check_origin(origin) == ORIGINS[origin]
    assert ZincClient(origin).origin == ORIGINS[origin]


@pytest.mark.parametrize(
    "origin",
    [
        "http://api.zinc.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://[::2]",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
    ],
)
def test_off_loopback_only_tls_will_do(origin: str) -> None:
    with pytest.raises(SettingsError, match="https"):
        ZincClient(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "api.zinc.com",
        "https://",
        "https:///orders",
        "ftp://api.zinc.com",
        f"https://{PLANTED}@api.zinc.com",
        f"https://:{PLANTED}@api.zinc.com",
        f"https://api.zinc.com?key={PLANTED}",
        "https://api.zinc.com#x",
        "https://api.zinc.com/../x",
        "https://api.zinc.com/a b",
        "https://api.zinc.com:0",
        "https://api.zinc.com:70000",
        "https://api.zinc.com:port",
        "https://api.zinc.com\\@evil.example",
        "https://api.zinc.com\nHost: evil.example",
        "https://[::1",
        "https://[1.2.3]",
        "https://\u00e4pi.zinc.com",
    ],
)
def test_a_malformed_origin_is_refused_without_repeating_it(origin: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ZincClient(origin)
    assert PLANTED not in f"{caught.value!r} {caught.value.summary}"


# A real network

Handler = Callable[["Wire"], Awaitable[None]]


class Wire:
    """One connection of the server below."""

    def __init__(self, stream: anyio.abc.SocketStream, server: "Server") -> None:
        self.stream = stream
        self.server = server
        self._held = b""

    async def request(self) -> bytes:
        """Return one whole request."""
        while b"\r\n\r\n" not in self._held:
            self._held += await self.stream.receive()
        head, _, rest = self._held.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        while len(rest) < length:
            rest += await self.stream.receive()
        self._held = rest[length:]
        self.server.requests.append(head + b"\r\n\r\n" + rest[:length])
        return self.server.requests[-1]

    async def send(self, data: bytes) -> None:
        """Send, and count what the other side took."""
        for start in range(0, len(data), 65_536):
            await self.stream.send(data[start : start + 65_536])
            self.server.sent += len(data[start : start + 65_536])


class Server:
    """A server on a loopback port that treats each connection as its handler says."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.origin = ""
        self.connections = 0
        self.requests: list[bytes] = []
        self.sent = 0

    async def handle(self, stream: anyio.abc.SocketStream) -> None:
        self.connections += 1
        async with stream:
            try:
                await self._handler(Wire(stream, self))
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass


@asynccontextmanager
async def served(
    handler: Handler, wire_seconds: float = 10.0, read_seconds: float = 10.0
) -> AsyncGenerator[tuple[Server, ZincClient]]:
    server = Server(handler)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  # not Django's
        server.origin = f"http://127.0.0.1:{port}"
        tasks.start_soon(listener.serve, server.handle)
        client = ZincClient(server.origin, wire_seconds=wire_seconds, read_seconds=read_seconds)
        try:
            yield server, client
        finally:
            await client.aclose()
            tasks.cancel_scope.cancel()


def answer_bytes(content: bytes, status: str = "201 Created", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


ACCEPTED = answer_bytes(json.dumps(ORDER).encode())


async def _answers(wire: Wire) -> None:
    while True:
        await wire.request()
        await wire.send(ACCEPTED)


async def test_a_connection_is_used_again() -> None:
    async with served(_answers) as (server, client):
        for _ in range(3):
            assert (await place(client)).id == "order-1"
    assert (server.connections, len(server.requests)) == (1, 3)


async def test_a_cookie_is_not_sent_back() -> None:
    async def baking(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(answer_bytes(json.dumps(ORDER).encode(), "201 Created", "Set-Cookie: who=ada; Path=/"))

    async with served(baking) as (server, client):
        await place(client)
        await read(client)
    assert b"cookie" not in server.requests[1].lower()


async def _drops_at_once(wire: Wire) -> None:
    await wire.stream.receive(1)


async def _drops_after_the_request(wire: Wire) -> None:
    await wire.request()


async def _drops_in_the_headers(wire: Wire) -> None:
    await wire.request()
    await wire.send(b"HTTP/1.1 201 Cre")


async def _drops_in_the_body(wire: Wire) -> None:
    await wire.request()
    await wire.send(ACCEPTED[:-3])


async def _drops_in_a_chunk(wire: Wire) -> None:
    await wire.request()
    whole = json.dumps(ORDER).encode()
    await wire.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(whole), whole))


async def _speaks_something_else(wire: Wire) -> None:
    await wire.request()
    await wire.send(b"\x15\x03\x01\x00\x02\x02\x28")


async def _answers_with_endless_headers(wire: Wire) -> None:
    await wire.request()
    await wire.send(b"HTTP/1.1 201 Created\r\n" + b"X-Noise: 1\r\n" * 50_000)


DROPS: dict[str, Handler] = {
    "at once": _drops_at_once,
    "after the request": _drops_after_the_request,
    "in the headers": _drops_in_the_headers,
    "in the body": _drops_in_the_body,
    "in a chunk": _drops_in_a_chunk,
    "another protocol": _speaks_something_else,
    "endless headers": _answers_with_endless_headers,
}


@pytest.mark.parametrize("when", DROPS)
async def test_a_lost_connection_is_one_attempt_and_leaves_doubt(when: str) -> None:
    async with served(DROPS[when]) as (server, client):
        with pytest.raises(OrderOutcomeUnknownError) as caught:
            await place(client)
        _hides_the_key(caught.value)
        with pytest.raises(UnreadableAnswerError):
            await read(client)
    assert server.connections == 2


async def test_a_kept_connection_that_dies_is_not_tried_again() -> None:
    async def once(wire: Wire) -> None:
        await wire.request()
        await wire.send(ACCEPTED)
        await wire.request()  # and goes

    async with served(once) as (server, client):
        await place(client)
        with pytest.raises(OrderOutcomeUnknownError):
            await place(client)
    assert (server.connections, len(server.requests)) == (1, 2)


async def test_a_slow_drip_ends_in_time() -> None:
    async def dripping(wire: Wire) -> None:
        await wire.request()
        for byte in ACCEPTED + b" " * 1000:
            await wire.send(bytes([byte]))
            await anyio.sleep(0.02)

    async with served(dripping, wire_seconds=0.4, read_seconds=0.4) as (_, client):
        started = time.perf_counter()
        with pytest.raises(OrderOutcomeUnknownError) as caught:
            await place(client)
        with pytest.raises(UnreadableAnswerError):
            await read(client)
        assert 0.7 < time.perf_counter() - started < 5.0
    assert caught.value.facts["reason"] == "timeout"


async def test_no_answer_ends_in_time() -> None:
    async with served(lambda wire: anyio.sleep(60), wire_seconds=0.3) as (_, client):
        with pytest.raises(OrderOutcomeUnknownError) as caught:
            await place(client)
    assert caught.value.facts["reason"] == "timeout"


async def test_a_body_without_an_end_is_not_read_to_its_end() -> None:
    async def pouring(wire: Wire) -> None:
        await wire.request()
        await wire.send(b"HTTP/1.1 201 Created\r\n\r\n" + b" " * (16 * MAX_ANSWER_BYTES))

    async with served(pouring) as (server, client):
        with pytest.raises(OrderOutcomeUnknownError) as caught:
            await place(client)
        with pytest.raises(UnreadableAnswerError):
            await read(client)
    assert caught.value.facts["reason"] == "unreadable"
    assert server.sent < 2 * (MAX_ANSWER_BYTES + 8 * 1024 * 1024)  # what the sockets buffered comes on top


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "deflate", "GZIP"])
async def test_a_packed_answer_is_not_unpacked(encoding: str) -> None:
    bomb = gzip.compress(b" " * 20_000_000)
    if encoding == "gzip, gzip":
        bomb = gzip.compress(bomb)

    async def packed(wire: Wire) -> None:
        await wire.request()
        await wire.send(answer_bytes(bomb, "201 Created", f"Content-Encoding: {encoding}"))

    async with served(packed) as (server, client):
        tracemalloc.start()
        try:
            with pytest.raises(OrderOutcomeUnknownError) as caught:
                await place(client)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert b"accept-encoding: identity" in server.requests[0].lower()
    assert caught.value.facts["reason"] == "unreadable"
    assert peak < 4 * 1024 * 1024


async def test_a_redirect_is_not_followed() -> None:
    async with served(_answers) as (elsewhere, _):

        async def redirecting(wire: Wire) -> None:
            while True:
                await wire.request()
                await wire.send(answer_bytes(b"", "307 Temporary Redirect", f"Location: {elsewhere.origin}/orders"))

        async with served(redirecting) as (server, client):
            with pytest.raises(OrderOutcomeUnknownError):
                await place(client)
            with pytest.raises(UnreadableAnswerError):
                await read(client)
        assert (len(server.requests), elsewhere.connections) == (2, 0)


async def test_a_proxy_of_the_environment_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(_answers) as (proxy, _):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.origin)
        monkeypatch.setenv("NO_PROXY", "")
        async with served(_answers) as (server, client):
            assert (await place(client)).id == "order-1"
        assert (server.connections, proxy.connections) == (1, 0)


async def test_nobody_listening_means_nothing_sent() -> None:
    async with served(_answers) as (server, _):
        pass
    client = ZincClient(server.origin)
    with pytest.raises(ZincUnreachableError) as caught:
        await place(client)
    _hides_the_key(caught.value)
    await client.aclose()


async def test_a_server_without_tls_gets_nothing_of_the_order() -> None:
    received = bytearray()

    async def listening(wire: Wire) -> None:
        received.extend(await wire.stream.receive())
        await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with served(listening) as (server, _):
        client = ZincClient(server.origin.replace("http://", "https://"))
        with pytest.raises(ZincUnreachableError):
            await place(client)
        await client.aclose()
    assert received
    assert PLANTED.encode() not in received


async def test_a_connection_that_is_not_taken_in_time_is_not_doubt() -> None:
    async def handshake_that_never_ends(wire: Wire) -> None:
        await anyio.sleep(60)

    async with served(handshake_that_never_ends) as (server, _):
        client = ZincClient(server.origin.replace("http://", "https://"), wire_seconds=0.8)
        with pytest.raises(ZincUnreachableError):
            await place(client)
        await client.aclose()


async def test_a_cancelled_call_is_cancelled_and_nothing_else() -> None:
    async with served(lambda wire: anyio.sleep(60)) as (_, client):
        with anyio.move_on_after(0.1) as scope:
            await place(client)
        assert scope.cancelled_caught


async def test_the_log_holds_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    order_key = "zn_live_planted-key-of-an-order"

    async def keyed(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(answer_bytes(json.dumps(ORDER).encode(), "201 Created", f"X-Api-Key: {order_key}"))

    async with served(keyed) as (_, client):
        await place(client)
        await find(client)
    logging.getLogger("of the test").debug("this is seen")
    assert "this is seen" in caplog.text
    assert PLANTED not in caplog.text
    assert order_key not in caplog.text

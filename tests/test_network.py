"""The one network exchange honours proxies, certificates and bounds, and tells what a failure proves."""

import base64
import json
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from company import Company, answer_of
from payments.fake_stripe import PREFIX, FakeStripe
from payments.fake_tempo import MODERATO, FakeTempo
from payments.offers import offer, rfc3339, terms
from pydantic import SecretStr
from started import ROOT, Started

from zinc_mcp.errors import OrderOutcomeUnknownError, SettingsError, UnreadableAnswerError, ZincUnreachableError
from zinc_mcp.network import MAX_ANSWER_BYTES, MAX_DEPTH, MAX_PARTS, Exchange, NoAnswerError, NotSentError, decoded
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.payments.stripe import TokenIssuer
from zinc_mcp.payments.tempo import TempoWallet
from zinc_mcp.payments.tempo_chain import PATH_USD, ChainError, TempoNode
from zinc_mcp.payments.terms import choose
from zinc_mcp.proxies import Route
from zinc_mcp.zinc.answers import MAX_ROWS
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.placed.order_list import MAX_LIST_BYTES

KEY = SecretStr("zn_test_planted5a1e")
BODY = b'{"max_price":5000}'
ORDER = json.dumps({"id": "order-1", "status": "pending", "max_price": 5000}).encode()
PASSWORD = "planted-password-of-the-proxy"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def company(tmp_path: Path, no_environment: None, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Company]:
    async def zinc(head: str, body: bytes) -> bytes:
        return answer_of(ORDER, "201 Created" if head.startswith("POST") else "200 OK")

    behind = Company(tmp_path, {"zinc.test": zinc})
    async with behind.open():
        monkeypatch.setenv("SSL_CERT_FILE", str(behind.authority))
        yield behind


def through(company: Company) -> Route:
    return Route(SecretStr(company.address))


async def place(client: ZincClient, leaving: Callable[[], None] | None = None) -> Any:
    try:
        return await client.create_order(BODY, KEY, leaving)
    finally:
        await client.aclose()


# Through a proxy


async def test_an_order_goes_through_the_proxy_of_the_environment_which_sees_nothing_of_it(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", company.address.replace("http://", f"http://ada:{PASSWORD}@"))
    order = await place(ZincClient("https://zinc.test"), lambda: company.events.append("leaving"))
    assert order.id == "order-1"
    # The last look at the lease comes when the tunnel stands, right before the order's own first byte.
    assert company.events == ["CONNECT zinc.test:443", "leaving", "POST /orders"]
    assert KEY.get_secret_value() not in company.heads[0]
    assert "proxy-authorization: basic" in company.heads[0].lower()


async def test_an_ended_lease_stops_the_first_byte_behind_a_proxy_as_well(company: Company) -> None:
    class LeaseIsOver(Exception):
        pass

    def stop() -> None:
        raise LeaseIsOver

    with pytest.raises(LeaseIsOver):
        await place(ZincClient("https://zinc.test", route=through(company)), stop)
    assert company.events == ["CONNECT zinc.test:443"]


REFUSALS = {
    "not allowed": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "the proxy refused the connection"),
    "a password": (
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        "wants a user name and a password",
    ),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: https://evil.test/\r\nContent-Length: 0\r\n\r\n", "refused"),
    "it hangs up": (b"", ""),
    "it speaks something else": (b"\x05\x00\x00 what\r\n\r\n", ""),
    "it answers half": (b"HTTP/1.1 200 Conn", ""),
    "it says nothing": (b"silence", ""),
}


@pytest.mark.parametrize("how", REFUSALS)
async def test_a_proxy_that_does_not_connect_has_sent_nothing(company: Company, how: str) -> None:
    company.refusal, told = REFUSALS[how]
    left: list[bool] = []
    client = ZincClient("https://zinc.test", route=through(company), wire_seconds=1.0)
    with pytest.raises(ZincUnreachableError) as caught:
        await place(client, lambda: left.append(True))
    assert (left, company.events) == ([], ["CONNECT zinc.test:443"])
    assert told in caught.value.summary
    assert "nothing was sent" in caught.value.summary


async def test_an_order_that_left_through_the_tunnel_is_in_doubt_when_it_breaks(company: Company) -> None:
    async def breaking(head: str, body: bytes) -> None:
        return None

    company.hosts["zinc.test"] = breaking
    with pytest.raises(OrderOutcomeUnknownError):
        await place(ZincClient("https://zinc.test", route=through(company)))
    assert company.events == ["CONNECT zinc.test:443", "POST /orders"]


async def test_a_tunnel_is_used_again_and_an_order_never_sent_twice(company: Company) -> None:
    client = ZincClient("https://zinc.test", route=through(company))
    for _ in range(2):
        assert (await client.create_order(BODY, KEY)).id == "order-1"
    await client.aclose()
    assert company.events == ["CONNECT zinc.test:443", "POST /orders", "POST /orders"]


# The same for everybody


async def test_stripe_is_reached_the_same_way_as_zinc(company: Company) -> None:
    stripe = FakeStripe(time.time)

    async def api(head: str, body: bytes) -> bytes:
        verb, path, _ = head.split(" ", 2)
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        told = stripe(httpx.Request(verb, f"https://api.stripe.com{path}", headers=headers, content=body))
        return answer_of(told.content, f"{told.status_code} OK")

    company.hosts |= {"api.stripe.com": api}
    async with company.open():
        issuer = TokenIssuer(SecretStr("rk_test_planted0"), through(company))
        answer = await issuer.read("spt_nobody")
        assert answer == {}
        assert [str(request.url.path) for request in stripe.requests] == [f"{PREFIX}/spt_nobody"]
        await issuer.aclose()
    assert company.events == ["CONNECT api.stripe.com:443", f"GET {PREFIX}/spt_nobody"]


async def test_a_tempo_node_is_reached_the_same_way_as_zinc(company: Company) -> None:
    async def rpc(head: str, body: bytes) -> bytes:
        call = json.loads(body)
        assert (call["method"], call["params"]) == ("eth_chainId", [])
        return answer_of(json.dumps({"id": call["id"], "result": hex(MODERATO)}).encode())

    company.hosts |= {"node.test": rpc}
    async with company.open():
        node = TempoNode(SecretStr("https://node.test:8443/planted-key"), through(company))
        assert await node.chain_id() == MODERATO
        await node.aclose()
    assert company.events == ["CONNECT node.test:8443", "POST /planted-key"]


@pytest.mark.filterwarnings("ignore:websockets.legacy is deprecated:DeprecationWarning")
async def test_the_signer_s_own_requests_go_the_same_way(company: Company) -> None:
    pytest.importorskip("pytempo", reason="the extra zinc-mcp[tempo] is not installed")
    node = FakeTempo()

    async def rpc(head: str, body: bytes) -> bytes:
        assert "accept-encoding: identity" in head.lower()
        call = json.loads(body)
        return answer_of(json.dumps({"id": call["id"], "result": node.answer(call["method"], call["params"])}).encode())

    company.hosts["node.test"] = rpc
    async with company.open():
        wallet = TempoWallet(
            SecretStr("0x" + "11" * 32), chain_id=MODERATO, rpc_url="https://node.test/k", route=through(company)
        )
        now = time.time()
        members = {"currency": PATH_USD, "methodDetails": {"chainId": MODERATO}}
        asked = offer(request={**_request(), **members}, expires=rfc3339(now + 300))
        challenge, charge = choose([asked], terms(methods=wallet.terms), now, status=402)
        paid = await wallet.pay(challenge, charge, now=now)
        await wallet.aclose()
    assert paid.recovery["wallet"] == "tempo"
    assert {"eth_gasPrice", "eth_estimateGas"} <= set(node.calls)
    asked_through = [event for event in company.events if event.startswith("POST")]
    assert len(asked_through) == len(node.calls)


def _request() -> dict[str, Any]:
    return {"amount": "26000000", "recipient": "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"}


ASKED: dict[str, Callable[[Route], Awaitable[Any]]] = {
    "Zinc": lambda route: place(ZincClient("https://zinc.test", route=route)),
    "a node": lambda route: TempoNode(SecretStr("https://zinc.test/"), route).chain_id(),
    "Stripe": lambda route: TokenIssuer(SecretStr("rk_test_planted0"), route).read("spt_nobody"),
}


@pytest.mark.parametrize("who", ASKED)
async def test_without_the_authority_nobody_behind_the_proxy_is_believed(
    company: Company, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    company.hosts["api.stripe.com"] = company.hosts["zinc.test"]
    try:
        assert await ASKED[who](through(company)) == {}
    except (ZincUnreachableError, ChainError):
        pass
    assert [event.split(" ")[0] for event in company.events] == ["CONNECT"]


# Which way


async def test_none_means_that_no_proxy_is_used(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", company.address)
    with pytest.raises(ZincUnreachableError):
        await place(ZincClient("https://zinc.test", route=Route(SecretStr("none"))))
    assert company.events == []


WAYS: list[tuple[dict[str, str], str, str | None]] = [
    ({}, "https://api.zinc.com", None),
    ({"HTTPS_PROXY": "http://p.test:3128"}, "https://api.zinc.com", "http://p.test:3128"),
    ({"HTTPS_PROXY": "p.test:3128"}, "https://api.zinc.com", "http://p.test:3128"),
    ({"HTTP_PROXY": "http://p.test:3128"}, "https://api.zinc.com", None),
    ({"ALL_PROXY": "http://p.test"}, "https://api.stripe.com/v1", "http://p.test"),
    ({"https_proxy": "http://low.test", "HTTPS_PROXY": "http://up.test"}, "https://a.test", "http://low.test"),
    *(
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": no}, url, None if excepted else "http://p.test")
        for no, url, excepted in [
            ("*", "https://api.zinc.com", True),
            ("zinc.com", "https://api.zinc.com", True),
            ("zinc.com", "https://notzinc.com", False),
            (".zinc.com", "https://api.zinc.com", True),
            (".zinc.com", "https://zinc.com", False),
            ("API.Zinc.com", "https://api.zinc.com", True),
            ("api.zinc.com:8443", "https://api.zinc.com", False),
            ("api.zinc.com:443", "https://api.zinc.com", True),
            ("https://api.zinc.com", "https://api.zinc.com", True),
            ("http://api.zinc.com", "https://api.zinc.com", False),
            ("10.0.0.0/8, other", "https://10.1.2.3", True),
            ("10.0.0.0/8", "https://11.1.2.3", False),
            ("[2001:db8::1]:443", "https://[2001:db8::1]", True),
            (" , ,", "https://api.zinc.com", False),
        ]
    ),
    *(
        ({"HTTPS_PROXY": "http://p.test", "HTTP_PROXY": "http://p.test"}, f"{scheme}://{host}:8080", None)
        for scheme in ("http", "https")
        for host in ("127.0.0.1", "127.9.9.9", "localhost", "[::1]")
    ),
]


@pytest.mark.parametrize(("variables", "url", "proxy"), WAYS)
def test_the_environment_chooses_the_proxy(
    variables: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Route().proxy_to(url) == proxy


def test_this_machine_is_never_reached_through_a_proxy_that_is_set() -> None:
    route = Route(SecretStr("http://p.test:3128"))
    assert route.proxy_to("http://127.0.0.1:8545/") is None
    assert route.proxy_to("https://localhost/") is None
    assert route.proxy_to("https://api.zinc.com") == "http://p.test:3128"


@pytest.mark.parametrize("address", ["ftp://p.test", "p.test", "http://", "http://p.test:0x1", "http://p test", "no"])
def test_a_proxy_that_is_none_stops_the_start_and_is_not_repeated(tmp_path: Path, address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"ZINC_MCP_HOME": str(tmp_path), "ZINC_MCP_PROXY": f"{address}{PASSWORD}@"})
    assert PASSWORD not in repr(caught.value) + caught.value.summary
    assert "environment ZINC_MCP_PROXY" in caught.value.summary


async def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in ("no certificate", None):
        file = tmp_path / "authority.pem"
        if content is None:
            file.unlink()
        else:
            file.write_text(content, encoding="ascii")
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with pytest.raises(ZincUnreachableError, match="the certificates that SSL_CERT_FILE names cannot be read"):
            await place(ZincClient("https://zinc.test"))


@pytest.mark.parametrize("url", ["https://[::1", "http://node.test", "https://a b", "not an address"])
def test_doctor_does_not_stumble_over_a_nodes_address_that_is_none(tmp_path: Path, url: str) -> None:
    ended = Started(tmp_path).run(
        "doctor", ZINC_API_URL="https://127.0.0.1:9", ZINC_WALLET="tempo", ZINC_TEMPO_RPC_URL=url
    )
    assert "proxy: Zinc through none" in ended.stdout
    assert "the Tempo node" not in ended.stdout


async def test_an_address_that_cannot_be_used_is_a_failure_that_was_foreseen_and_is_not_repeated() -> None:
    with pytest.raises(NotSentError) as caught:
        await Exchange("https://planted-key..\u0000").ask("GET", "/", {}, seconds=1.0)
    assert "planted" not in str(caught.value)


def test_doctor_shows_the_proxy_and_never_its_password(tmp_path: Path) -> None:
    proxy = f"http://ada:{PASSWORD}@p.test:3128"
    named = {"ZINC_API_URL": "https://zinc.test", "HTTPS_PROXY": proxy, "ZINC_WALLET": "stripe"}
    (tmp_path / "ca.pem").write_text("", encoding="ascii")
    shown = [
        Started(tmp_path).run("doctor", **named),
        Started(tmp_path).run("doctor", ZINC_API_URL="https://zinc.test", ZINC_MCP_PROXY=proxy),
        Started(tmp_path).run("doctor", **named, ZINC_MCP_PROXY="none"),
        Started(tmp_path).run("doctor", **named, SSL_CERT_FILE=str(tmp_path / "ca.pem")),
    ]
    assert all(PASSWORD not in each.stdout + each.stderr for each in shown)
    assert re.search(r"\bproxy +environment \(default\)", shown[0].stdout)
    assert "proxy: Zinc through http://p.test:3128" in shown[0].stdout
    assert "proxy: Stripe through http://p.test:3128" in shown[0].stdout
    assert "certificates: the usual authorities are trusted" in shown[0].stdout
    assert re.search(r"\bproxy +http://p\.test:3128 \(environment ZINC_MCP_PROXY\)", shown[1].stdout)
    assert "proxy: Zinc through none" in shown[2].stdout
    assert "WRONG certificates: the certificates that SSL_CERT_FILE names cannot be read" in shown[3].stdout


# Bounds


def _answering(answer: bytes, pause: float = 0.0, times: int = 1) -> Callable[[Any], Awaitable[None]]:
    async def handle(stream: Any) -> None:
        async with stream:
            try:
                while b"\r\n\r\n" not in await stream.receive():
                    pass
                for _ in range(times):
                    await stream.send(answer)
                    await anyio.sleep(pause)
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                pass

    return handle


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[bytes, float, int]] = {
    "chunks without an end": (CHUNKED + (b"10000\r\n" + b"a" * 65_536 + b"\r\n") * 60, 30.0, 1),
    "a byte a chunk": (CHUNKED + b"1\r\na\r\n" * 200_000, 0.0, 1),
    "a length that is too long": (HEAD + b"Content-Length: 262145\r\n\r\n" + b"a" * 1_000, 30.0, 1),
    "a length of a thousand digits": (HEAD + b"Content-Length: " + b"9" * 1_000 + b"\r\n\r\n", 30.0, 1),
    "packed with deflate": (HEAD + b"Content-Encoding: deflate\r\nContent-Length: 3\r\n\r\nabc", 30.0, 1),
    "packed with br": (HEAD + b"Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc", 30.0, 1),
    "packed with zstd, twice": (HEAD + b"Content-Encoding: zstd, zstd\r\nContent-Length: 3\r\n\r\nabc", 30.0, 1),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_an_answer_beyond_the_bound_is_given_up_at_once(what: str) -> None:
    answer, pause, times = ENDLESS[what]
    reason: str | None = None
    began = time.perf_counter()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, _answering(answer, pause, times))
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  # not Django's
        exchange = Exchange(f"http://127.0.0.1:{port}")
        with pytest.raises(NoAnswerError) as caught:
            await exchange.ask("GET", "/orders/1", {}, seconds=20.0)
        reason = caught.value.reason
        await exchange.aclose()
        tasks.cancel_scope.cancel()
    assert reason == ("connection_lost" if "digits" in what else "unreadable")  # the HTTP library's own bound
    assert time.perf_counter() - began < 10.0


def test_the_bounds_are_those_that_are_promised() -> None:
    assert (MAX_ANSWER_BYTES, MAX_LIST_BYTES) == (256 * 1024, 512 * 1024)
    assert (MAX_ROWS, MAX_DEPTH, MAX_PARTS) == (200, 64, 30_000)


async def test_many_small_pieces_let_others_have_their_turn() -> None:
    pieces = MAX_ANSWER_BYTES // 64
    answer = CHUNKED + b"1\r\n[\r\n" + b"1\r\n \r\n" * pieces + b"1\r\n]\r\n0\r\n\r\n"
    turns = 0
    told: Any = None

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, _answering(answer))
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  # not Django's
        exchange = Exchange(f"http://127.0.0.1:{port}")
        tasks.start_soon(count)
        told = (await exchange.ask("GET", "/", {}, seconds=20.0)).json()
        await exchange.aclose()
        tasks.cancel_scope.cancel()
    assert told == []
    assert turns > pieces // 64


@pytest.mark.parametrize(
    "content",
    [
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * 200_000,
        b'[{"a":"\\\\","b":' * (MAX_DEPTH // 2 + 1) + b"1" + b"}]" * (MAX_DEPTH // 2 + 1),
        b'["\\"]]]]",' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"]",
        b"[" + b"[]," * MAX_PARTS + b"1]",
        b'{"a":' + b"9" * 20_000 + b"}",
        b"\xff\xfe",
    ],
    ids=["nested", "nested without an end", "beside strings", "brackets in a string", "parts", "digits", "no text"],
)
def test_json_that_is_too_deep_or_too_large_is_not_read(content: bytes) -> None:
    began = time.thread_time()
    with pytest.raises(ValueError):  # of many kinds
        decoded(content)
    assert time.thread_time() - began < 0.2


def test_json_at_the_bounds_is_read() -> None:
    assert decoded(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert decoded(b'["' + b"[{\\" + b'"' + b']}", 1]') == ['[{"]}', 1]
    text = json.dumps(["[[[[" * 1_000, {"a": '\\\\"' * 1_000}, [[]] * 5_000]).encode()
    assert decoded(text) == json.loads(text)


async def test_a_set_cookie_and_a_redirect_to_elsewhere_are_neither_kept_nor_followed() -> None:
    asked: list[httpx.Request] = []

    def redirecting(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        headers = {"Location": "https://evil.test/orders/order-1", "Set-Cookie": "a=1; Domain=zinc.test"}
        return httpx.Response(302, headers=headers)

    client = ZincClient("https://zinc.test", transport=httpx.MockTransport(redirecting))
    for _ in range(2):
        with pytest.raises(UnreadableAnswerError):
            await client.get_order("order-1", KEY)
    assert {request.url.host for request in asked} == {"zinc.test"}
    assert len(asked) == 2
    assert "cookie" not in asked[1].headers


async def test_a_node_whose_answer_is_packed_is_not_unpacked() -> None:
    def packed(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "identity"
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"\x1f\x8b planted"))

    node = TempoNode(SecretStr("https://node.test/"), transport=httpx.MockTransport(packed))
    with pytest.raises(ChainError):
        await node.chain_id()


SPENT = {
    "challenge": {"id": "kept", "realm": "zinc"},
    "payload": {"type": "tx", "signature": "0xplanted?>" + "ab" * 40},
}
_SPENT = base64.urlsafe_b64encode(json.dumps(SPENT).encode()).decode().rstrip("=")
_BASIC = base64.b64encode(b"planted-user:planted/pass?word>").decode()
CREDENTIALS: dict[str, tuple[dict[str, str], list[str]]] = {
    "a key": ({"Authorization": "Bearer zn_live_planted"}, ["zn_live_planted"]),
    "a payment": (
        {"Authorization": f"Payment {_SPENT}"},
        [_SPENT, json.dumps(SPENT), SPENT["payload"]["signature"]],
    ),
    "a payment beside a key": (
        {"Authorization": "Bearer zn_live_planted", "Payment-Authorization": f"Payment {_SPENT}"},
        ["zn_live_planted", _SPENT, SPENT["payload"]["signature"]],
    ),
    "user and password": (
        {"authorization": f"basic {_BASIC}"},
        [_BASIC, "planted-user:planted/pass?word>", "planted/pass?word>"],
    ),
    "a key as the user": (
        {"Authorization": "Basic " + base64.b64encode(b"sk_planted:").decode()},
        [base64.b64encode(b"sk_planted:").decode(), "sk_planted:", "sk_planted"],
    ),
}


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize("slashes", ["/", "\\/"])
async def test_no_credential_that_an_answer_quotes_is_read(kind: str, slashes: str) -> None:
    headers, secrets = CREDENTIALS[kind]

    def quoting(request: httpx.Request) -> httpx.Response:
        told = json.dumps({"id": "kept", "quoted": secrets}).replace("/", slashes)
        return httpx.Response(400, content=told.encode() + b"|" + secrets[0].encode())

    exchange = Exchange("https://zinc.test", transport=httpx.MockTransport(quoting))
    answer = await exchange.ask("POST", "/agent/orders", headers, seconds=5.0, content=b"{}")
    told, _, bare = answer.content.partition(b"|")
    assert json.loads(told) == {"id": "kept", "quoted": ["[redacted]"] * len(secrets)}
    assert bare == b"[redacted]"


async def test_a_request_that_never_left_is_told_from_one_without_an_answer() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  # not Django's
    exchange = Exchange(f"http://127.0.0.1:{port}")
    with pytest.raises(NotSentError):
        await exchange.ask("POST", "/orders", {}, seconds=2.0, content=b"{}")
    await exchange.aclose()


def test_each_socket_that_listens_sends_the_pieces_of_an_answer_at_once() -> None:
    # asyncio does so by itself only where the socket names its protocol, which `create_server` leaves out.
    listening = {
        str(path.relative_to(ROOT)): (text.count("socket.create_server("), text.count("socket.TCP_NODELAY, 1)"))
        for path in (ROOT / "zinc_mcp").rglob("*.py")
        if "socket.create_server(" in (text := path.read_text(encoding="utf-8"))
    }
    assert len(listening) >= 3
    assert [path for path, (sockets, settings) in listening.items() if sockets != settings] == []

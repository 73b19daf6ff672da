"""HTTP clients have bounded connections, time, bodies, streams and sessions; a removed member keeps none."""

import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from http.client import HTTPResponse, RemoteDisconnected
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from server.on_a_port import initialize
from server.team_server import (
    TeamServer,
    answered,
    calling,
    head,
    is_open,
    session_of,
    status_of,
    team_server,
)
from wanted import arguments

from zinc_mcp.owner.members import remove_member
from zinc_mcp.server.http.connections import (
    BODY_SECONDS,
    HEAD_SECONDS,
    KEEP_ALIVE_SECONDS,
    KEPT_PART,
    MAX_LATE_BYTES,
    MAX_LATE_CHUNKED_BYTES,
    STREAMS_PART,
    WAITING_PART,
)
from zinc_mcp.server.http.shares import MOST_SESSIONS, MOST_STREAMS
from zinc_mcp.server.messages import MOST_LEVELS, MOST_MESSAGE_BYTES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts files and memory in /proc")
MOST = 116
"""Connections of a server with 256 files."""
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
A_JSON = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[TeamServer]:
    with team_server(tmp_path_factory.mktemp("team") / "home") as server:
        yield server


@pytest.fixture
def team(one_server: TeamServer) -> Generator[TeamServer]:
    yield one_server
    one_server.close()


def until(true: Callable[[], bool], seconds: float) -> float:
    """Return how long it took until something was true."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return time.monotonic() - began


UNFINISHED = {
    "silent": b"",
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: mcp.exam",
    "half a form": head("POST", "/approve/7", more=FORM + "Content-Length: 100\r\n") + b"visit=",
    "chunks of a form": head("POST", "/approve/7", more=FORM + "Transfer-Encoding: chunked\r\n") + b"3\r\nvis\r\n",
    "no token": head("POST", "/mcp", more=A_JSON + "Content-Length: 900000\r\n") + b'{"jsonrpc"',
}
"""The bytes of connections that never ask for anything."""


@pytest.mark.parametrize("kind", UNFINISHED)
def test_health_is_told_beside_three_hundred_connections_that_never_ask(team: TeamServer, kind: str) -> None:
    before = team.files()
    for _ in range(300):
        team.bare(UNFINISHED[kind])
    assert team.health_seconds() < 4
    assert team.files() - before <= MOST, "most of them were ended to make room"
    with team.client(team.member(f"beside-{len(UNFINISHED[kind])}")) as client:
        session_of(client)
    team.close()
    until(lambda: team.files() <= before + 1, 10)


def test_connections_that_never_ask_are_ended_when_their_time_is_over(team: TeamServer) -> None:
    before = team.files()
    # So few that none of them is ended to make room: one wait is enough for all kinds.
    held = {kind: [team.bare(sent) for _ in range(5)] for kind, sent in UNFINISHED.items()}
    every = [each for of_a_kind in held.values() for each in of_a_kind]
    silent = held["silent"] + held["half a head"]
    assert all(is_open(each) for each in silent)
    until(lambda: not any(is_open(each) for each in silent), HEAD_SECONDS + 6)
    until(lambda: not any(is_open(each) for each in every), BODY_SECONDS + 6)
    until(lambda: team.files() <= before + 1, 10)


def test_one_byte_a_second_does_not_keep_a_connection(team: TeamServer) -> None:
    token = team.member("slow")
    slow = {
        "head": team.bare(b"GET /healthz HTTP/1.1\r\n"),
        "body": team.bare(head("POST", "/mcp", token, A_JSON + "Content-Length: 1000\r\n")),
        "chunks": team.bare(head("POST", "/mcp", token, A_JSON + "Transfer-Encoding: chunked\r\n")),
        "after an answer": team.bare(head("GET", "/healthz")),
    }
    pieces = {"head": b"x", "body": b" ", "chunks": b"1\r\n \r\n", "after an answer": b"G"}
    began, ended = time.monotonic(), dict[str, float]()
    while len(ended) < len(slow):
        for name, connection in slow.items():
            if name not in ended:
                connection.setblocking(True)
                try:
                    connection.sendall(pieces[name])
                    alive = is_open(connection)
                except OSError:
                    alive = False
                if not alive:
                    ended[name] = time.monotonic() - began
        assert time.monotonic() - began < BODY_SECONDS + 8, ended
        time.sleep(0.7)
    assert ended["head"] < HEAD_SECONDS + 4
    assert ended["after an answer"] < HEAD_SECONDS + 4
    with team.client(token) as client:
        session_of(client)


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/messages/?session_id=0", "/messages?session_id=0"])
@pytest.mark.parametrize("with_token", [True, False])
def test_a_body_announced_over_the_bound_is_refused_before_a_byte_of_it(
    team: TeamServer, path: str, with_token: bool
) -> None:
    name = f"announcing-{abs(hash(path))}"
    token = team.member(name) if with_token else None
    opened = team.bare(head("POST", path, token, A_JSON + f"Content-Length: {MOST_MESSAGE_BYTES + 1}\r\n"))
    assert status_of(opened) == (413 if with_token else 401)
    opened.close()
    more = A_JSON + f"Expect: 100-continue\r\nContent-Length: {10**30}\r\n"
    waiting = team.bare(head("POST", path, token, more))
    assert status_of(waiting) in (400, 401, 413), "and it is never told to go on"
    waiting.close()


def test_a_form_announced_over_the_bound_or_from_elsewhere_is_refused_before_a_byte_of_it(team: TeamServer) -> None:
    for more, status in (("Content-Length: 8193\r\n", 400), ("Content-Length: 20\r\nOrigin: https://evil\r\n", 403)):
        opened = team.bare(head("POST", "/approve/", more=FORM + more))
        assert status_of(opened) == status
        opened.close()


@pytest.mark.parametrize("path", ["/mcp", "/messages/"])
def test_chunks_without_an_end_are_cut_off_at_the_bound(team: TeamServer, path: str) -> None:
    token = team.member(f"chunks{path.replace('/', '-')}")
    with team.client(token) as client:
        answer = client.post(path, content=(b" " * 65_536 for _ in range(17)))
        assert answer.status_code == 413
    assert team.health_seconds() < 4


def test_two_hundred_requests_at_once_on_one_connection_are_all_answered(team: TeamServer) -> None:
    opened = team.bare(head("GET", "/healthz") * 199 + head("GET", "/healthz", more="Connection: close\r\n"))
    assert answered(opened, 20).count(b"HTTP/1.1 200") == 200
    assert team.health_seconds() < 4


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (head("GET", "/healthz?" + "a" * 3000), 414),
        (head("GET", "/mcp/" + "a" * 3000), 414),
        (head("GET", "/healthz", more="X: 1\r\n" * 120), 431),
        (head("GET", "/healthz", more="X: " + "a" * 40_000 + "\r\n"), 400),
        (head("GET", "/healthz") + head("GET", "/healthz", more="X: 1\r\n" * 30_000), 200),
    ],
    ids=["query", "path", "headers", "one header", "behind another request"],
)
def test_a_head_over_the_bound_is_refused(team: TeamServer, asked: bytes, status: int) -> None:
    stop, longest = threading.Event(), list[float]()

    def watch() -> None:
        while not stop.is_set():
            longest.append(team.health_seconds())

    watching = threading.Thread(target=watch)
    watching.start()
    opened = team.bare(asked)
    assert status_of(opened) == status
    opened.close()
    stop.set()
    watching.join()
    assert max(longest) < 2


def heavy() -> dict[str, bytes]:
    """Return messages within the bound on bytes that take long to read."""
    about = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
    }
    before = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":' + json.dumps(about).encode()
    before += b',"name":"place_order","arguments":'
    room = MOST_MESSAGE_BYTES - len(before) - 60
    within = MOST_LEVELS - 4
    texts = b'{"' + b'":1,"'.join(b"%05d" % number + b"k" * 90 for number in range(4500)) + b'":1}'
    products = json.dumps({"products": [{"url": f"https://a.example/{number}"} for number in range(1500)]}).encode()
    options = b",".join(b'{"label":1}' for _ in range(2400))
    return {
        "nested": before + b"[" * room,
        "nested and closed": before + b'{"a":' * 2000 + b"1" + b"}" * 2002,
        "empty lists": before + b'{"products":[' + b"[]," * (room // 3) + b"[]]}}}",
        "empty objects": before + b'{"products":[' + b"{}," * (room // 3) + b"{}]}}}",
        "one name": before + b'{"' + b"k" * room + b'":1}}}',
        "digits": before + b'{"max_price":' + b"9" * room + b"}}}",
        "fraction": before + b'{"max_price":0.' + b"3" * room + b"}}}",
        "names": before + texts + b"}}",
        "quotes": before + b'{"a":"' + b'\\"' * (room // 2) + b'"}}}',
        "spaces": before + b" " * room + b"{}}}",
        "a long text": before + b'{"products":"' + b"[{" * (room // 2) + b'"}}}',
        "deep within the bound": before + b'{"products":' + b"[" * within + b"]" * within + b"}}}",
        "many products": before + products + b"}}",
        "many options": before + b'{"products":[{"url":"https://a.example/1","variant":[' + options + b"]}]}}}",
        "not JSON": b"\x00" * MOST_MESSAGE_BYTES,
        "bare words": b"null " * (MOST_MESSAGE_BYTES // 5),
        "a batch": b"[" + b"1," * 4900 + b"1]",
    }


@pytest.mark.sampled(8)
@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("kind", heavy())
def test_no_message_within_the_bound_stops_the_others_or_stays_in_memory(
    team: TeamServer, kind: str, modern: bool
) -> None:
    body = heavy()[kind]
    assert len(body) <= MOST_MESSAGE_BYTES
    with team.client(team.member(f"heavy-{abs(hash((kind, modern)))}")) as client:
        client.headers["MCP-Protocol-Version"] = "2026-07-28" if modern else "2025-11-25"
        if modern:
            client.headers.update({"Mcp-Method": "tools/call", "Mcp-Name": "place_order"})
        else:
            client.headers["Mcp-Session-Id"] = session_of(client)
        before, idle = team.resident_kib(), [spent_seconds(team) for _ in range(2)]
        began = spent_seconds(team)
        answer = client.post("/mcp", content=body)
        took = spent_seconds(team) - began
        assert answer.status_code in (200, 400), answer.text[:300]
        assert len(answer.content) < 20_000
    assert took < 0.3, f"{took:.3f} s of the processor, in all threads and steps ({idle})"
    assert team.resident_kib() - before < 20 * 1024


def spent_seconds(team: TeamServer) -> float:
    """Return the processor time of the server, so that other work of a busy machine does not count."""
    fields = Path(f"/proc/{team.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize(
    "path", ["/mcp", "/mcp/", "/sse", "/sse/", "/approve", "/approve/", "/approve/7/", "/healthz/"]
)
def test_both_spellings_of_a_path_are_served_without_a_redirect(team: TeamServer, path: str) -> None:
    name = f"spelling-{abs(hash(path))}"
    with team.client(team.member(name)) as client:
        if path.startswith("/mcp"):
            assert client.post(path, json=initialize()).status_code == 200
            answer = client.post(path, json=initialize(), headers={"X-Forwarded-Proto": "https"})
            assert answer.status_code == 200
        elif path.startswith("/sse"):
            with client.stream("GET", path) as stream:
                assert stream.status_code == 200
                assert "/messages/?session_id=" in next(stream.iter_text())
        else:
            answer = client.get(path)
            assert answer.status_code == (200 if path == "/healthz/" else 401)
            assert "location" not in answer.headers
    assert b"307" not in answered_to(team, path), "and no redirect without a token"


def answered_to(team: TeamServer, path: str) -> bytes:
    return answered(team.bare(head("POST", path, more="Connection: close\r\nContent-Length: 0\r\n"))).split(b"\r\n")[0]


def test_a_stream_to_go_on_from_starts_anew(team: TeamServer) -> None:
    with team.client(team.member("resuming")) as client:
        session = session_of(client)
        headers = {"Mcp-Session-Id": session, "Last-Event-ID": "x" * 300, "Accept": "text/event-stream"}
        with client.stream("GET", "/mcp", headers=headers) as stream:
            assert (stream.status_code, stream.headers["content-type"][:17]) == (200, "text/event-stream")


def test_streams_of_one_member_are_bounded_and_take_nothing_from_another(team: TeamServer) -> None:
    flood, other = team.member("flood"), team.member("other")
    held = [team.stream(flood) for _ in range(MOST_STREAMS * 4)]
    statuses = [status_of(each) for each in held]
    assert 8 <= statuses.count(200) <= MOST_STREAMS
    assert set(statuses) - {0} == {200, 429}, "some were ended to make room"
    with team.client(other) as client:
        session = session_of(client)
        stream = team.stream(other, session)
        assert status_of(stream) == 200
        stream.close()
    assert team.health_seconds() < 4
    for each in held:
        each.close()
    until(lambda: status_of(team.stream(flood)) == 200, 5)


def test_a_thousand_idle_streams_of_a_whole_team_leave_room_for_calls_and_for_a_yes(team: TeamServer) -> None:
    members = 1000 // MOST_STREAMS + 1
    tokens = [team.member(f"idle-{number}") for number in range(members)]
    before = team.resident_kib()
    held: list[socket.socket] = []
    refusals = Counter[int]()
    for number in range(1000):
        stream = team.stream(tokens[number % members])
        answer = stream.recv(65_536)
        status = int(answer.split(b" ", 2)[1])
        if status == 200:
            held.append(stream)
            continue
        refusals[status] += 1
        assert b"retry-after: 5\r\n" in answer.lower()
        stream.close()
    assert len(held) == (MOST - MOST // WAITING_PART) // STREAMS_PART
    assert refusals == {503: 1000 - len(held)}
    assert all(is_open(each) for each in held), "none was ended for another"
    for token in tokens[:3]:
        assert told(team, token, "list_orders", {})["outcome"] == "listed"
    assert team.health_seconds() < 4
    with team.client() as client:
        headers = {"Origin": "https://mcp.example.com", "Content-Type": "application/x-www-form-urlencoded"}
        assert client.post("/approve/", data={"token": tokens[0]}, headers=headers).status_code == 200
    assert team.resident_kib() - before < 32 * 1024
    for each in held:
        each.close()
    until(lambda: status_of(team.stream(tokens[0])) == 200, 5)


def test_sessions_of_one_member_are_bounded_the_one_used_last_stays_and_memory_stays(team: TeamServer) -> None:
    with team.client(team.member("opening")) as client, team.client(team.member("working")) as other:
        others = session_of(other)
        first = session_of(client)
        kept = [session_of(client) for _ in range(MOST_SESSIONS)]
        ping = {"jsonrpc": "2.0", "id": 5, "method": "ping"}
        assert client.post("/mcp", json=ping, headers={"Mcp-Session-Id": first}).status_code == 404
        before = team.resident_kib()
        for number in range(300):
            session_of(client)
            if number % 4 == 0:  # a member may send 600 messages in a minute
                assert client.post("/mcp", json=ping, headers={"Mcp-Session-Id": kept[-1]}).status_code == 200
        assert team.resident_kib() - before < 4 * 1024, "300 of them would take 11 MB"
        assert other.post("/mcp", json=ping, headers={"Mcp-Session-Id": others}).status_code == 200


def test_a_removed_member_loses_streams_and_sessions_within_two_seconds(team: TeamServer) -> None:
    token, other = team.member("leaving"), team.member("staying")
    with team.client(token) as client, team.client(other) as others:
        session = session_of(client)
        streams = [team.stream(token), team.stream(token, session)]
        stays = team.stream(other, session_of(others))
        assert [status_of(each) for each in (*streams, stays)] == [200, 200, 200]
        assert remove_member(team.members, "leaving")
        assert until(lambda: not any(is_open(each) for each in streams), 5) < 2
        again = team.member("leaving")
        with team.client(again) as next_holder:
            ping = {"jsonrpc": "2.0", "id": 5, "method": "ping"}
            assert next_holder.post("/mcp", json=ping, headers={"Mcp-Session-Id": session}).status_code == 404
            session_of(next_holder)
        assert is_open(stays)
        stays.close()


def test_a_name_that_is_given_again_gives_no_order_of_its_last_holder(team: TeamServer) -> None:
    wanted = arguments(max_price=2500)
    first = team.member("ada")
    placed = told(team, first, "place_order", wanted)
    assert placed["new_order"] is True, placed
    assert told(team, first, "get_order", {"order_id": placed["order_id"]})["order_id"] == placed["order_id"]
    assert remove_member(team.members, "ada")
    second = team.member("ada")
    assert told(team, second, "get_order", {"order_id": placed["key"]})["code"] == "order_not_found"
    assert told(team, second, "get_order", {"order_id": placed["order_id"]})["code"] == "order_not_found"
    assert told(team, second, "place_order", wanted)["new_order"] is True, "and it is no repeat of theirs"


def told(team: TeamServer, token: str, tool: str, arguments: dict[str, Any]) -> dict[str, object]:
    with team.client(token) as client:
        client.headers["Mcp-Session-Id"] = session_of(client)
        answer = client.post("/mcp", json=calling(tool, arguments))
    line = next(line for line in answer.text.splitlines() if line.startswith("data: {"))
    structured: dict[str, object] = json.loads(line[6:])["result"]["structuredContent"]
    return structured


def test_one_member_s_requests_leave_room_for_another_s(team: TeamServer) -> None:
    flood, other = team.member("greedy"), team.member("modest")
    half = head("POST", "/mcp", flood, A_JSON + "Content-Length: 1000\r\n") + b"{"
    held: list[socket.socket] = []
    with team.client(flood) as client:

        def is_refused() -> bool:
            held.extend(team.bare(half) for _ in range(10))
            return "too_many_requests" in client.post("/mcp", json=initialize()).text

        until(is_refused, 10)
    with team.client(flood) as client:
        assert client.post("/mcp", json=initialize()).headers["retry-after"] == "5"
    answers = set[socket.socket]()

    def under_way() -> int:
        for each in set(held) - answers:
            each.setblocking(False)
            with suppress(BlockingIOError):
                each.recv(65_536)
                answers.add(each)
        return len(held) - len(answers)

    until(lambda: under_way() <= MOST // WAITING_PART, 10)  # the others were refused
    with team.client(other) as client:
        session_of(client)
    assert team.health_seconds() < 4
    for each in held:
        each.close()


PING = json.dumps({"jsonrpc": "2.0", "id": 5, "method": "ping"}).encode()


def pinging(token: str) -> bytes:
    """Return a quick request of a member, which a session would have to be opened for."""
    return head("POST", "/mcp", token, A_JSON + f"Content-Length: {len(PING)}\r\n") + PING


def read_status(opened: socket.socket) -> int:
    """Read a whole answer, so that the connection is silent after it; return its status, or 0 if none comes."""
    with closing(HTTPResponse(opened)) as answer:
        try:
            answer.begin()
        except (RemoteDisconnected, ConnectionResetError):
            return 0
        answer.read()
        return answer.status


Seen = TypeVar("Seen")


def seen_in_time(team: TeamServer, look: Callable[[], Seen]) -> Seen:
    """Return what was seen within the time for which a server leaves a silent connection open."""
    until_done = time.monotonic() + 120
    while True:
        began = time.monotonic()
        seen = look()
        team.close()
        if time.monotonic() - began < KEEP_ALIVE_SECONDS - 1:
            return seen
        assert time.monotonic() < until_done, "this machine is too busy"


def silent(team: TeamServer, tokens: list[str]) -> list[socket.socket]:
    """Open a connection for each, which is silent after an answer."""
    opened = [team.bare(pinging(token)) for token in tokens]
    assert {read_status(one) for one in opened} == {400}
    return opened


def fill(team: TeamServer) -> None:
    """Open as many connections of strangers as there may be, and more."""
    for _ in range(MOST + 30):
        team.bare()
    assert team.health_seconds() < 4


def test_a_team_that_connects_at_once_is_answered(team: TeamServer) -> None:
    tokens = [team.member(f"together-{number}") for number in range(6)] * 9
    opened = [team.bare() for _ in tokens]
    assert team.health_seconds() < 4
    for one, token in zip(opened, tokens, strict=True):
        one.sendall(pinging(token))
    assert [read_status(one) for one in opened] == [400] * len(opened), "none was reset"


def test_strangers_take_no_silent_connection_from_members(team: TeamServer) -> None:
    tokens = [team.member(f"silent-{number}") for number in range(10)] * 4

    def statuses() -> list[int]:
        opened = silent(team, tokens)
        fill(team)
        for one, token in zip(opened, tokens, strict=True):
            with suppress(OSError):
                one.sendall(pinging(token))
        return [read_status(one) for one in opened]

    assert seen_in_time(team, statuses) == [400] * len(tokens), "none was reset"


def test_connections_kept_for_one_member_are_bounded_and_take_nothing_from_another(team: TeamServer) -> None:
    quiet, flood = team.member("quiet"), team.member("many-silent")

    def left() -> list[str]:
        tokens = [quiet] * 2 + [flood] * 20
        opened = silent(team, tokens)
        fill(team)
        return [token for one, token in zip(opened, tokens, strict=True) if is_open(one)]

    assert seen_in_time(team, left) == [quiet] * 2 + [flood] * (MOST // KEPT_PART)


def test_a_connection_of_a_member_that_a_stranger_uses_next_is_a_stranger_s(team: TeamServer) -> None:
    lending, keeping = team.member("lending"), team.member("keeping")

    def left() -> list[str]:
        tokens = [lending, keeping] * 4
        opened = silent(team, tokens)
        for one in opened[::2]:
            one.sendall(head("GET", "/healthz"))
            assert read_status(one) == 200
        fill(team)
        return [token for one, token in zip(opened, tokens, strict=True) if is_open(one)]

    assert seen_in_time(team, left) == [keeping] * 4


def test_connections_that_agree_on_no_tls_are_ended(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from server.test_serving_processes import certificate

    cert, key = certificate(tmp_path, "mcp.example.com")
    with team_server(tmp_path / "home", tls=(cert, key)) as server:
        held = [server.bare() for _ in range(300)]
        assert server.health_seconds() < 4
        until(lambda: not any(is_open(each) for each in held), HEAD_SECONDS + 6)


def test_a_client_that_never_reads_fills_no_memory(team: TeamServer) -> None:
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.connect(("127.0.0.1", team.port))
    before = team.resident_kib()
    opened.settimeout(2)
    with pytest.raises(TimeoutError):
        while True:
            opened.sendall(head("GET", "/healthz") * 500)
    assert team.health_seconds() < 4
    assert team.resident_kib() - before < 8 * 1024
    opened.close()


@pytest.mark.thorough
def test_strangers_that_never_read_lock_no_member_out(team: TeamServer) -> None:
    token = team.member("kept-out")
    asked = head("GET", "/approve/") * 20
    held: list[socket.socket] = []
    for _ in range(MOST + 30):
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        opened.settimeout(2)
        opened.connect(("127.0.0.1", team.port))
        opened.setblocking(False)
        held.append(opened)
    try:
        latest, rounds_when_full = time.monotonic() + 4, 0
        while rounds_when_full < 10 and time.monotonic() < latest:
            rounds_when_full += 1
            for each in held:
                with suppress(OSError):
                    each.send(asked)
                    rounds_when_full = 0
            time.sleep(0.02)
        for _ in range(5):
            assert team.health_seconds() < 4
            with team.client(token) as client:
                session_of(client)
    finally:
        for each in held:
            each.close()


def test_a_request_with_a_length_and_chunks_is_refused_and_its_connection_ended(team: TeamServer) -> None:
    token = team.member("two-lengths")
    inner = head("GET", "/healthz")
    ended = b"0\r\n\r\n"
    both = f"Content-Length: {len(ended + inner)}\r\nTransfer-Encoding: chunked\r\n"
    for path, more, known in (("/mcp", A_JSON, token), ("/approve/", FORM, None), ("/healthz", "", None)):
        opened = team.bare(head("POST", path, known, more + both) + ended + inner)
        got = answered(opened, 5)
        assert (got.count(b"HTTP/1.1 "), got[:12]) == (1, b"HTTP/1.1 400"), path
        assert b"connection: close" in got.lower()


def test_head_of_a_stream_is_answered_once_and_logs_nothing(team: TeamServer) -> None:
    token = team.member("head-of-a-stream")
    for path in ("/sse", "/mcp"):
        opened = team.bare(head("HEAD", path, token, "Accept: text/event-stream\r\nConnection: close\r\n"))
        assert status_of(opened) > 0
        opened.close()
    # The fixture searches the server's log when it ends.


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_goes_on_after_its_answer_is_bounded(team: TeamServer, chunked: bool) -> None:
    most = MAX_LATE_CHUNKED_BYTES if chunked else MAX_LATE_BYTES
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {10**9}"
    piece = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    opened = team.bare(head("POST", "/mcp", more=A_JSON + how + "\r\n") + piece)
    assert status_of(opened) == 401
    sent = 0
    opened.settimeout(5)
    with pytest.raises(OSError):
        while sent < most + 16 * 1024 * 1024:  # what the kernel holds is sent as well
            opened.sendall(piece)
            sent += len(piece)
    assert sent > most // 2


def test_a_client_that_hangs_up_in_a_body_leaves_nothing(team: TeamServer) -> None:
    token = team.member("hanging-up")
    before = team.files()
    for _ in range(50):
        team.bare(head("POST", "/mcp", token, A_JSON + "Content-Length: 1000\r\n") + b"{").close()
        team.bare(head("POST", "/approve/", more=FORM + "Content-Length: 1000\r\n") + b"visit=").close()
    until(lambda: team.files() <= before + 1, 10)
    with pytest.raises(httpx2.HTTPStatusError):
        httpx2.get(f"{team.origin}/mcp").raise_for_status()

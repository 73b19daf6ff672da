"""`zinc-mcp login`, `logout` and `whoami`: a person signs in, and the key is kept, told about and never shown."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import preloaded
import pytest
from keyboard import at_a_terminal
from preloaded import Ended
from signing import KEY, WALLET, Answer, Practice, ToldZinc, code_of, cut, practice, refusal, told_zinc
from started import ROOT, Started

from zinc_mcp.owner.secrets.store import SecretStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

PASTED = "zn_live_pasted_4c7be21d90"
ISSUED = "zn_live_issued_0b1c2d3e4f"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Generator[Practice]:
    with practice(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def lying() -> Generator[ToldZinc]:
    with told_zinc() as zinc:
        yield zinc


@pytest.fixture
def started(tmp_path: Path) -> Started:
    return Started(tmp_path)


def kept(started: Started) -> str | None:
    found = SecretStore(started.home).get("api_key")
    return None if found is None else found.value.get_secret_value()


def searched(ended: Ended) -> Ended:
    """Check that no key is in what a command printed."""
    assert not KEY.search(ended.stdout + ended.stderr), ended
    assert "Traceback" not in ended.stderr
    return ended


def run(started: Started, *words: str, **variables: str) -> Ended:
    return searched(started.quickly(*words, **variables))


def piped(started: Started, words: Sequence[str], given: bytes, **variables: str) -> Ended:
    """Run a command with something else than a terminal on its stdin."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(given)
        stdin.seek(0)
        streams = [each.fileno() for each in (stdin, out, err)]
        environ = {**started.environment, **variables}
        code = preloaded.started("zinc_mcp", list(words), environ, Path.cwd(), streams).wait(60)
        for each in (out, err):
            each.seek(0)
        return searched(Ended(code, out.read().decode(), err.read().decode()))


def typed_in(started: Started, *words: str, typed: Sequence[tuple[str, str]] = (), **variables: str) -> tuple[int, str]:
    code, screen = at_a_terminal(words, {**started.environment, **variables}, typed)
    assert "Traceback" not in screen
    return code, screen


# The device flow


def test_a_person_who_says_yes_is_signed_in_and_can_use_the_key(started: Started, sandbox: Practice) -> None:
    with sandbox.person("yes"):
        ended = run(started, "login", ZINC_API_URL=sandbox.url)
    assert ended.returncode == 0, ended
    [link] = re.findall(rf"^  ({sandbox.url}/device\?user_code=\S+)$", ended.stdout, re.M)
    assert f"code: {link.rpartition('=')[2]}" in ended.stdout
    assert "Signed in. The live key is kept in " in ended.stdout
    assert "account 1, balance $10,000.00, fee $1.00 an order" in ended.stdout
    assert f"It is a live key of {sandbox.url}: an order with it spends the balance there." in ended.stdout
    assert "buys for real" not in ended.stdout, "that is said of Zinc itself only"
    assert "Limits that hold: $250.00 an order, $500.00 in 24 hours" in ended.stdout
    assert "start your MCP host again" in ended.stdout
    key = kept(started)
    assert key is not None and key.startswith("zn_live_practice_")
    told = run(started, "whoami", ZINC_API_URL=sandbox.url).stdout
    assert f"Key      live, ends in {key[-4:]}" in told
    assert "From     secret store, file, kept on 2" in told
    doctor = run(started, "doctor", ZINC_API_URL=sandbox.url).stdout
    assert re.search(r"\bapi_key +set \(secret store, file\)", doctor)
    assert re.search(r"\bok +API key: accepted", doctor)
    for path in started.home.rglob("*"):
        assert path.name == "api_key.json" or not path.is_file() or key.encode() not in path.read_bytes()
    assert re.fullmatch(r"zinc-mcp on \S.*", sandbox.names()[-1])


def test_a_person_who_says_no_is_not_signed_in(started: Started, sandbox: Practice) -> None:
    with sandbox.person("no"):
        ended = run(started, "login", "--name", "my agent", ZINC_API_URL=sandbox.url)
    assert (ended.returncode, kept(started)) == (1, None)
    assert "The answer on Zinc's page was no, so there is no key." in ended.stderr
    assert sandbox.names()[-1] == "my agent"


def test_a_code_that_nobody_decides_about_ends(started: Started, tmp_path: Path) -> None:
    with practice(tmp_path / "fast", pace=900) as fast:
        ended = run(started, "login", ZINC_API_URL=fast.url)
    assert (ended.returncode, kept(started)) == (1, None)
    assert "The code has ended, and there is no key." in ended.stderr


def test_a_test_key_comes_along_with_its_orders_and_a_live_one_is_never_sent(started: Started, lying: ToldZinc) -> None:
    lying.answers |= {
        "/device/code": [(200, code_of(lying.url))],
        "/device/token": [
            (200, {"key": ISSUED, "sandbox": {"orders_moved": 2}, "starter_credit": {"cents": 500}}),
        ],
        "/wallet/me": [(200, WALLET)],
    }
    first = run(started, "login", ZINC_API_URL=lying.url, ZINC_API_KEY="zn_test_1234")
    assert lying.requests[0][2]["authorization"] == "Bearer zn_test_1234"
    assert "2 test orders were moved to the account." in first.stdout
    assert "Zinc gave $5.00 to start with." in first.stdout
    assert "But the Zinc API key of environment ZINC_API_KEY comes first" in first.stdout
    lying.requests.clear()
    run(started, "login", "--force", ZINC_API_URL=lying.url)
    assert kept(started) == ISSUED
    assert [
        headers for _, path, headers, _ in lying.requests if path != "/wallet/me" and "authorization" in headers
    ] == []


def on_a_screen(started: Started, words: str, typed: Sequence[tuple[str, str]], **variables: str) -> tuple[int, str]:
    """Run a command at a terminal that takes control sequences."""
    return at_a_terminal(words.split(), {**started.environment, **variables}, typed, columns=40, term="xterm")


def test_the_count_stands_in_one_line_of_a_terminal_and_leaves_nothing(started: Started, sandbox: Practice) -> None:
    with sandbox.person("yes"):
        code, screen = on_a_screen(started, "login", [], ZINC_API_URL=sandbox.url)
    assert code == 0, screen
    counts = re.findall(r"\r\x1b\[K(Waiting for your answer: 0:\d\d left\.[^\r\n]*)", screen)
    assert counts and all(len(count) <= 39 for count in counts), "it is never broken into two lines"
    shown = [line.rpartition("\r\x1b[K")[2] for line in screen.strip().split("\n")]
    assert not any("Waiting" in line for line in shown) and shown[-1].endswith(" whoami")


def test_a_dumb_terminal_gets_no_control_sequence(started: Started, sandbox: Practice) -> None:
    with sandbox.person("yes"):
        code, screen = typed_in(started, "login", ZINC_API_URL=sandbox.url)
    assert (code, "\x1b" in screen) == (0, False)
    assert "Waiting for your answer, up to 1 minute. Ctrl-C stops it." in screen


def test_ctrl_c_at_the_keyboard_stops_it(started: Started, sandbox: Practice) -> None:
    code, screen = on_a_screen(started, "login", [("left.", "\x03")], ZINC_API_URL=sandbox.url)
    assert (code, kept(started)) == (130, None)
    assert "Stopped. Nothing was kept; the code ends by itself." in screen and "Traceback" not in screen
    with sandbox.person("no"):
        pass  # the code that was left


@pytest.mark.thorough
def test_a_reader_that_is_gone_ends_it_without_a_traceback(started: Started, sandbox: Practice) -> None:
    line = f"{sys.executable} -m zinc_mcp login | true"
    environ = {**started.environment, "ZINC_API_URL": sandbox.url}
    ended = subprocess.run(["/bin/sh", "-c", line], env=environ, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in ended.stderr and kept(started) is None
    with sandbox.person("no"):
        pass  # the code that was left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_nothing_and_leaves_no_file(started: Started, sandbox: Practice, number: int) -> None:
    with open(started.home.parent / "out", "w+b") as out:
        words = ["login"]
        environ = {**started.environment, "ZINC_API_URL": sandbox.url}
        program = preloaded.started("zinc_mcp", words, environ, Path.cwd(), [out.fileno()] * 3)
        until = time.monotonic() + 30
        while b"Waiting for your answer" not in Path(out.name).read_bytes():
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(program.pid, number)
        assert program.wait(20) == 130
        assert Path(out.name).read_bytes().endswith(b"Stopped. Nothing was kept; the code ends by itself.\n")
    assert kept(started) is None
    assert [path.name for path in started.home.rglob("*") if path.is_file()] == [".lock"]
    with sandbox.person("no"):
        pass  # the code that was left


def test_a_key_that_arrives_with_the_stop_is_kept(started: Started, lying: ToldZinc, tmp_path: Path) -> None:
    """The answer that was under way is read to its end: a key is in one answer only."""
    asked = tmp_path / "asked"

    def slow(handler: BaseHTTPRequestHandler) -> None:
        asked.touch()
        time.sleep(1.5)
        body = json.dumps({"key": ISSUED}).encode()
        wire = handler.wfile
        wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    lying.answers |= {
        "/device/code": [(200, code_of(lying.url))],
        "/device/token": [slow],
        "/wallet/me": [(200, WALLET)],
    }
    with open(tmp_path / "out", "w+b") as out:
        environ = {**started.environment, "ZINC_API_URL": lying.url}
        program = preloaded.started("zinc_mcp", ["login"], environ, Path.cwd(), [out.fileno()] * 3)
        until = time.monotonic() + 30
        while not asked.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        os.kill(program.pid, signal.SIGINT)
        assert program.wait(20) == 0
    assert kept(started) == ISSUED


def test_trouble_of_the_network_is_waited_out_and_slow_down_is_heeded(started: Started, lying: ToldZinc) -> None:
    lying.answers |= {
        "/device/code": [(200, code_of(lying.url))],
        "/device/token": [
            (500, b"<html>"),
            (400, refusal("authorization_pending")),
            (400, refusal("slow_down")),
            (200, {"key": ISSUED}),
        ],
        "/wallet/me": [(200, WALLET)],
    }
    began = time.monotonic()
    ended = run(started, "login", ZINC_API_URL=lying.url)
    assert (ended.returncode, kept(started)) == (0, ISSUED)
    assert ended.stdout.count("Zinc does not answer just now; trying on.") == 1
    assert time.monotonic() - began > 1 + 2 + 2 + 7, "it waits longer after trouble, and 5 seconds more to slow down"
    polls = [(headers, body) for _, path, headers, body in lying.requests if path == "/device/token"]
    assert {body for _, body in polls} == {b'{"device_code": "device-secret-7d1e"}'}
    assert all("authorization" not in headers for headers, _ in polls)
    assert "device-secret" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("lost", [cut, (200, b"<html>"), (200, {"key": "no key"}), (302, b""), (200, {})])
def test_a_key_whose_answer_was_lost_is_told_as_one_that_may_exist(
    started: Started, lying: ToldZinc, lost: Answer
) -> None:
    lying.answers |= {
        "/device/code": [(200, code_of(lying.url))],
        "/device/token": [lost, (400, refusal("expired_token"))],
    }
    ended = run(started, "login", ZINC_API_URL=lying.url)
    assert (ended.returncode, kept(started)) == (1, None)
    assert "Zinc may have made a key that never arrived here." in ended.stderr
    assert "remove such a one" in ended.stderr


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"verification_uri_complete": "http://zinc.example/device"}, "not one that can be opened safely"),
        ({"verification_uri_complete": "file:///etc/passwd"}, "not one that can be opened safely"),
        ({"verification_uri_complete": "https://zinc.com@evil.example/"}, "not one that can be opened safely"),
        ({"verification_uri_complete": "https://zinc.com/\x1b[2J"}, "not one that can be opened safely"),
        ({"verification_uri_complete": "https://zinc.com/" + "x" * 2000}, "not one that can be opened safely"),
        ({"verification_uri_complete": None, "verification_uri": 7}, "no code or page"),
        ({"user_code": "\u202e\x07"}, "no code or page"),
        ({"device_code": ""}, "no code to sign in with"),
        ({"device_code": "x" * 5000}, "no code to sign in with"),
    ],
)
def test_an_answer_that_could_harm_is_not_shown_or_opened(
    started: Started, lying: ToldZinc, changes: dict[str, object], told: str
) -> None:
    lying.answers["/device/code"] = [(200, code_of(lying.url, **changes))]
    ended = run(started, "login", ZINC_API_URL=lying.url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert told in ended.stderr
    assert lying.paths() == ["/device/code"]


def test_times_that_make_no_sense_are_bounded(started: Started, lying: ToldZinc) -> None:
    changes = {"interval": -5, "expires_in": 10**12}
    lying.answers |= {
        "/device/code": [(200, code_of(lying.url, **changes))],
        "/device/token": [(403, refusal("access_denied"))],
    }
    ended = run(started, "login", ZINC_API_URL=lying.url)
    assert ended.returncode == 1 and "up to 30 minutes" in ended.stdout


@pytest.mark.parametrize(("status", "body"), [(404, refusal("not_found")), (500, b""), (302, b""), (200, b"[]")])
def test_a_zinc_without_a_sign_in_is_said(started: Started, lying: ToldZinc, status: int, body: object) -> None:
    lying.answers["/device/code"] = [(status, body)]
    ended = run(started, "login", ZINC_API_URL=lying.url)
    assert ended.returncode == 1 and ended.stderr.startswith("zinc-mcp: Zinc")
    assert "order" not in ended.stderr, "nobody has ordered anything"


@pytest.mark.parametrize("words", [["login"], ["login", "--test"], ["login", "--paste"], ["whoami"]])
def test_plain_http_is_for_this_machine_only(started: Started, words: list[str]) -> None:
    ended = piped(started, words, PASTED.encode(), ZINC_API_URL="http://api.zinc.com", ZINC_API_KEY="zn_test_1")
    assert ended.returncode == 2
    assert "ZINC_API_URL must use https" in ended.stderr
    assert kept(started) is None


@pytest.mark.parametrize("words", [["login"], ["login", "--test"], ["login", "--paste"], ["login", "--wallet"]])
def test_a_person_who_practises_is_told_the_meaning_of_a_sign_in(started: Started, words: list[str]) -> None:
    ended = run(started, *words, ZINC_MCP_SANDBOX="1")
    assert ended.returncode == 1
    assert "This practises (environment ZINC_MCP_SANDBOX): the built-in sandbox takes no sign-in" in ended.stderr
    assert "leave ZINC_MCP_SANDBOX out" in ended.stderr
    assert not started.home.exists()


def test_a_browser_is_opened_where_there_is_a_desktop_and_gets_the_code_in_no_argument(
    started: Started, sandbox: Practice, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    copied = f'import pathlib, sys, urllib.request as r; pathlib.Path("{seen}").write_text(sys.argv[1] + chr(10) + '
    copied += "r.urlopen(sys.argv[1]).read().decode())"
    browser.write_text(f"#!{sys.executable} -I\n{copied}\n")
    browser.chmod(0o755)
    started.home.mkdir()
    old, of_another = (started.home / f"sign-in-{name}.html" for name in ("old", "of-another"))
    for each in (old, of_another):
        each.touch()
    os.utime(old, (1.0, 1.0))
    variables = {"ZINC_API_URL": sandbox.url, "BROWSER": f"{browser} %s", "ZINC_MCP_BROWSER": "1"}
    with sandbox.person("yes"):
        ended = run(started, "login", **variables)
    assert "It is open in your browser." in ended.stdout
    address, document = seen.read_text().split("\n", 1)
    [link] = re.findall(r"^  (http\S+)$", ended.stdout, re.M)
    code = link.rpartition("=")[2]
    assert address.startswith("file://") and code not in address
    assert f'url={link.replace("&", "&amp;")}"' in document
    assert list(started.home.glob("sign-in-*")) == [of_another], "only what a killed process left long ago is removed"
    seen.unlink()
    with sandbox.person("yes"):
        run(started, "login", "--force", **{**variables, "ZINC_MCP_BROWSER": "0"})
    assert not seen.exists()


# Keys that are there already


def test_a_kept_key_is_not_replaced_unless_somebody_says_so(started: Started, sandbox: Practice) -> None:
    variables = {"ZINC_API_URL": sandbox.url}
    run(started, "login", "--test", **variables)
    before = kept(started)
    ended = run(started, "login", "--test", **variables)
    assert (ended.returncode, kept(started)) == (1, before)
    assert "One is kept already: the Zinc API key (test). Nothing was changed." in ended.stderr
    for answer in ("", "n"):
        code, screen = typed_in(started, "login", "--test", typed=[("Replace it?", answer)], **variables)
        assert (code, kept(started)) == (1, before), screen
    code, screen = typed_in(started, "login", "--test", typed=[("Replace it?", "y")], **variables)
    replaced = kept(started)
    assert code == 0 and replaced != before and not KEY.search(screen)
    assert run(started, "login", "--test", "--force", **variables).returncode == 0
    assert kept(started) not in (before, replaced)


def test_asking_comes_before_zinc_is_asked_for_a_key(started: Started, lying: ToldZinc) -> None:
    lying.answers["/wallet/me"] = [(200, WALLET)]
    piped(started, ["login", "--paste"], PASTED.encode(), ZINC_API_URL=lying.url)
    lying.requests.clear()
    assert run(started, "login", ZINC_API_URL=lying.url).returncode == 1
    assert lying.requests == []


def test_a_place_that_keeps_nothing_is_found_before_zinc_is_asked_for_a_key(started: Started, lying: ToldZinc) -> None:
    started.home.mkdir()
    (started.home / "secrets").write_text("in the way")
    ended = run(started, "login", ZINC_API_URL=lying.url)
    assert ended.returncode == 2 and "secret store cannot be used" in ended.stderr
    assert lying.requests == []


def test_a_broken_record_is_said_and_can_be_replaced(started: Started, lying: ToldZinc) -> None:
    lying.answers["/wallet/me"] = [(200, WALLET)]
    folder = started.home / "secrets"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "api_key.json").write_text("{")
    ended = piped(started, ["login", "--paste"], PASTED.encode(), ZINC_API_URL=lying.url)
    assert ended.returncode == 1 and "not a record of ours" in ended.stdout
    ended = piped(started, ["login", "--paste", "--force"], PASTED.encode(), ZINC_API_URL=lying.url)
    assert (ended.returncode, kept(started)) == (0, PASTED)


# Keys for testing, and pasted ones


def test_a_key_for_testing_is_made_at_zinc(started: Started, sandbox: Practice) -> None:
    ended = run(started, "login", "--test", ZINC_API_URL=sandbox.url)
    assert ended.returncode == 0
    assert "It is for testing: an order with it buys nothing." in ended.stdout
    assert "live" not in ended.stdout and "Limits" not in ended.stdout
    key = kept(started)
    assert key is not None and key.startswith("zn_test_")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((429, refusal("rate_limit_exceeded")), "makes only a few for one address in a day"),
        ((503, b""), "makes only a few"),
        ((201, {"api_key": "zn_live_not_for_testing"}), "no key for testing"),
        ((201, {"key": 7}), "no key for testing"),
        ((422, refusal("validation_error")), "Zinc made no key for testing (HTTP 422, code validation_error)."),
    ],
)
def test_a_key_for_testing_that_zinc_does_not_give_is_said(
    started: Started, lying: ToldZinc, answer: tuple[int, object], told: str
) -> None:
    lying.answers["/sandbox/keys"] = [answer]
    ended = run(started, "login", "--test", ZINC_API_URL=lying.url)
    assert ended.returncode == 1 and told in ended.stderr
    assert kept(started) is None


@pytest.mark.parametrize("given", [PASTED, f"{PASTED}\r\n", f"\ufeff  {PASTED}  \n"])
def test_a_key_comes_from_a_pipe(started: Started, lying: ToldZinc, given: str) -> None:
    lying.answers["/wallet/me"] = [(200, WALLET)]
    ended = piped(started, ["login", "--paste"], given.encode(), ZINC_API_URL=lying.url)
    assert (ended.returncode, kept(started)) == (0, PASTED)
    assert "account 7, balance $42.00" in ended.stdout
    assert lying.requests[0][2]["authorization"] == f"Bearer {PASTED}"


def test_a_key_is_typed_without_being_seen(started: Started, lying: ToldZinc) -> None:
    lying.answers["/wallet/me"] = [(200, WALLET)]
    code, screen = typed_in(started, "login", "--paste", typed=[("not shown", PASTED)], ZINC_API_URL=lying.url)
    assert (code, kept(started)) == (0, PASTED)
    assert PASTED not in screen


@pytest.mark.parametrize(
    "given",
    ["", "sk_live_abcdefgh", "zn_live_", f"{PASTED} {PASTED}", f"{PASTED}\nx: y", "zn_live_é", "zn_test_" + "x" * 600],
)
def test_a_text_that_is_no_key_is_not_kept_or_sent_or_shown(started: Started, lying: ToldZinc, given: str) -> None:
    ended = piped(started, ["login", "--paste"], given.encode(), ZINC_API_URL=lying.url)
    assert (ended.returncode, kept(started), lying.requests) == (1, None, [])
    assert "That is not an API key of Zinc" in ended.stderr
    assert len(given) < 10 or given not in ended.stderr


def test_without_a_stdin_nothing_is_kept(started: Started) -> None:
    line = f"exec {sys.executable} -m zinc_mcp login --paste <&-"
    ended = subprocess.run(
        ["/bin/sh", "-c", line], env=started.environment, capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 1 and b"That is not an API key" in ended.stderr


def test_the_ways_exclude_each_other(started: Started) -> None:
    ended = run(started, "login", "--test", "--paste")
    assert ended.returncode == 2 and "choose one" in ended.stderr


def test_endless_input_is_not_read_to_its_end(started: Started, lying: ToldZinc) -> None:
    ended = piped(started, ["login", "--paste"], PASTED.encode() + b" " * 1_000_000, ZINC_API_URL=lying.url)
    assert (ended.returncode, kept(started)) == (1, None)


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_key_that_zinc_does_not_accept_replaces_nothing(started: Started, lying: ToldZinc, force: list[str]) -> None:
    lying.answers["/wallet/me"] = [(401, refusal("unauthorized"))]
    ended = piped(started, ["login", "--paste", *force], PASTED.encode(), ZINC_API_URL=lying.url)
    assert (ended.returncode, kept(started)) == (1, None)
    lying.answers["/wallet/me"] = [(200, WALLET), (401, {"detail": f"{PASTED} is unknown"})]
    piped(started, ["login", "--paste"], b"zn_live_before_1", ZINC_API_URL=lying.url)
    ended = piped(started, ["login", "--paste", "--force"], PASTED.encode(), ZINC_API_URL=lying.url)
    assert (ended.returncode, kept(started)) == (1, "zn_live_before_1")
    assert "does not accept this key, so it was not kept. The key that was kept before stays." in ended.stderr


def test_a_key_that_cannot_be_checked_replaces_nothing_unless_forced(started: Started, lying: ToldZinc) -> None:
    lying.answers["/wallet/me"] = [(500, b"")]
    ended = piped(started, ["login", "--paste"], b"zn_live_before_1", ZINC_API_URL=lying.url)
    assert (ended.returncode, kept(started)) == (0, "zn_live_before_1")
    assert "It could not be checked" in ended.stdout and "accepts" not in ended.stdout
    words = ["login", "--paste"]
    code, screen = typed_in(
        started, *words, typed=[("Replace it?", "y"), ("not shown", PASTED)], ZINC_API_URL=lying.url
    )
    assert (code, kept(started)) == (1, "zn_live_before_1"), screen
    ended = piped(started, [*words, "--force"], PASTED.encode(), ZINC_API_URL=lying.url)
    assert (ended.returncode, kept(started)) == (0, PASTED)


# The keyring


def keyring_in(tmp_path: Path, behaviour: str = "") -> dict[str, str]:
    return {
        "PYTHON_KEYRING_BACKEND": "fake_keyring.Ours",
        "FAKE_KEYRING": str(tmp_path / "items.json"),
        "FAKE_KEYRING_IS": behaviour,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
    }


def test_a_key_in_the_keyring_is_in_no_file_of_the_home_and_works(
    started: Started, sandbox: Practice, tmp_path: Path
) -> None:
    variables = {"ZINC_API_URL": sandbox.url, **keyring_in(tmp_path)}
    ended = run(started, "login", "--test", "--store", "keyring", **variables)
    assert ended.returncode == 0, ended
    assert re.search(r"The test key is kept in the system's keyring \(.+, as zinc-mcp\)", ended.stdout)
    [item] = json.loads((tmp_path / "items.json").read_text()).values()
    key = KEY.findall(item)[0]
    for path in started.home.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes()
    assert f"ends in {key[-4:]}" in run(started, "whoami", **variables).stdout
    assert "ok    API key: accepted" in run(started, "doctor", **variables).stdout
    locked = {**variables, "FAKE_KEYRING_IS": "locked"}
    for command in ("whoami", "doctor"):
        ended = run(started, command, **locked)
        assert ended.returncode == 1 and "The system's keyring is locked." in ended.stdout + ended.stderr
    ended = run(started, "logout", **locked)
    assert ended.returncode == 2 and "So the Zinc API key is still kept." in ended.stderr
    assert run(started, "logout", **variables).returncode == 0
    assert json.loads((tmp_path / "items.json").read_text()) == {}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}, "This system has no keyring"),
        ({"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}, "This system has no keyring"),
        ({"PYTHON_KEYRING_BACKEND": "no_such.Backend"}, "The system's keyring failed (ModuleNotFoundError)."),
        ({"FAKE_KEYRING_IS": "locked"}, "is locked"),
        ({"FAKE_KEYRING_IS": "forgetful"}, "did not keep the secret"),
        ({"FAKE_KEYRING_IS": "broken"}, "failed (RuntimeError)"),
    ],
)
def test_a_keyring_that_cannot_keep_it_is_said_before_zinc_makes_a_key(
    started: Started, lying: ToldZinc, tmp_path: Path, variables: dict[str, str], told: str
) -> None:
    environ = {"ZINC_API_URL": lying.url, **keyring_in(tmp_path), **variables}
    ended = run(started, "login", "--store", "keyring", **environ)
    assert ended.returncode == 2 and told in ended.stderr
    assert "--store file" in ended.stderr
    assert lying.requests == []


# `whoami` and `logout`


def test_without_a_key_whoami_says_how_to_get_one(started: Started) -> None:
    ended = run(started, "whoami")
    assert ended.returncode == 1
    assert "There is no API key, so nobody is signed in." in ended.stderr and " login`" in ended.stderr
    assert "This practises (environment ZINC_MCP_SANDBOX)" in run(started, "whoami", ZINC_MCP_SANDBOX="1").stdout


def test_whoami_never_shows_enough_of_a_key(started: Started, lying: ToldZinc) -> None:
    lying.answers["/wallet/me"] = [(200, WALLET)]
    short = started.quickly("whoami", ZINC_API_URL=lying.url, ZINC_API_KEY="zn_live_short123")
    assert "Key      live\n" in short.stdout and "t123" not in short.stdout
    told = json.loads(run(started, "whoami", "--json", ZINC_API_URL=lying.url, ZINC_API_KEY=PASTED).stdout)
    assert told == {
        "mode": "live",
        "ends_in": PASTED[-4:],
        "source": "environment ZINC_API_KEY",
        "kept_at": None,
        "origin": lying.url,
        "accepted": True,
        "user": "7",
        "email": None,
        "balance_cents": 4200,
        "order_fee_cents": 100,
    }


def test_whoami_says_that_a_key_is_not_accepted_and_what_to_do(started: Started, lying: ToldZinc) -> None:
    lying.answers["/wallet/me"] = [(401, refusal("unauthorized"))]
    ended = run(started, "whoami", ZINC_API_URL=lying.url, ZINC_API_KEY=PASTED)
    assert ended.returncode == 1
    assert "Zinc does not accept the API key." in ended.stdout and "or sign in anew: `" in ended.stdout
    told = run(started, "whoami", "--json", ZINC_API_URL=lying.url, ZINC_API_KEY=PASTED)
    assert (json.loads(told.stdout)["accepted"], told.returncode) == (False, 1)


def test_the_words_of_zinc_are_cleaned(started: Started, lying: ToldZinc) -> None:
    lying.answers |= {
        "/wallet/me": [(200, {**WALLET, "balance": "1e9", "user_id": "\x1b[31m7"})],
        "/sandbox/status": [(200, {"claimed_by_email": "ada@example.com\x1b[2J\nKey      live"})],
    }
    ended = run(started, "whoami", ZINC_API_URL=lying.url, ZINC_API_KEY="zn_test_1234")
    assert "\x1b" not in ended.stdout and ended.stdout.count("\nKey ") == 0
    assert "ada@example.com Key live" in ended.stdout


def test_logout_forgets_the_key_and_says_which_is_used_then(started: Started, lying: ToldZinc) -> None:
    lying.answers["/wallet/me"] = [(200, WALLET)]
    piped(started, ["login", "--paste"], PASTED.encode(), ZINC_API_URL=lying.url)
    ended = run(started, "logout", ZINC_API_KEY="zn_test_1")
    assert "Forgot the Zinc API key. It stays good until it is revoked" in ended.stdout
    assert "But environment ZINC_API_KEY still has one, and that one is used." in ended.stdout
    assert kept(started) is None
    assert "Nothing to forget" in run(started, "logout").stdout

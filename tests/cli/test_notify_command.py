"""`[notify]` in `zinc.toml`, `zinc-mcp notify test`, and what the doctor says of it."""

import re
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from notify.listener import Listener, listening
from started import Started

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.notify import EVENTS
from zinc_mcp.owner.settings import load_settings

TOKEN = "T0-hook-token-B0"


@pytest.fixture
def listener() -> Generator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def started(tmp_path: Path) -> Started:
    started = Started(tmp_path)
    started.environment["ZINC_MCP_SANDBOX"] = "1"
    return started


def test_the_test_sends_one_message_and_says_what_happened(started: Started, listener: Listener) -> None:
    started.configure(f'[notify]\nurl = "{listener.url}/{TOKEN}"\n')
    ended = started.run("notify", "test")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "It was taken: the address answered HTTP 200." in ended.stdout
    assert listener.events == ["test"] and listener.messages[0].path == f"/hook/{TOKEN}"
    assert listener.messages[0].json["text"].startswith("[test] ")
    assert TOKEN not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (404, "the address answered HTTP 404"),
        ("redirect", "the address answered HTTP 307 (a redirect, which is not followed)"),
    ],
)
def test_the_test_says_what_went_wrong(started: Started, listener: Listener, answer: int | str, said: str) -> None:
    listener.answers = [answer]
    started.configure(f'[notify]\nurl = "{listener.url}"\n')
    ended = started.run("notify", "test")
    assert ended.returncode == 1
    assert f"It was not taken: {said}." in ended.stdout
    assert len(listener.messages) == 1


def test_the_test_starts_the_command(started: Started, tmp_path: Path) -> None:
    started.configure(f"[notify]\ncommand = [{sys.executable!r}, '-c', 'import sys; sys.exit(7)']\n")
    ended = started.run("notify", "test")
    assert ended.returncode == 1 and "the command ended with code 7" in ended.stdout
    started.configure(f"[notify]\ncommand = [{str(tmp_path / 'nothing')!r}]\n")
    assert "the command could not be started" in started.run("notify", "test").stdout


def test_where_nobody_listens_the_test_says_that_nothing_was_sent(started: Started) -> None:
    started.configure('[notify]\nurl = "http://127.0.0.1:9/x"\n')
    ended = started.run("notify", "test")
    assert ended.returncode == 1 and "it could not be sent" in ended.stdout


def test_without_a_place_the_test_says_how_to_set_one(started: Started) -> None:
    ended = started.run("notify", "test")
    assert ended.returncode == 2 and "There is no [notify] in zinc.toml" in ended.stderr


def test_the_doctor_names_the_place_and_no_more_of_it(started: Started, listener: Listener) -> None:
    started.configure(f'[notify]\nurl = "{listener.url}/{TOKEN}"\nevents = ["failed", "waiting"]\n')
    shown = started.run("doctor").stdout
    place = listener.url.removesuffix("/hook")
    assert f"notify: messages to {place}, not signed; about failed, waiting" in shown
    assert TOKEN not in shown
    assert "messages to" in started.run("doctor", ZINC_MCP_NOTIFY_SECRET="s3cret-of-mine").stdout
    signed = started.run("doctor", ZINC_MCP_NOTIFY_SECRET="s3cret-of-mine").stdout
    assert "not signed" not in signed and "s3cret" not in signed
    assert re.search(r"\bnotify_secret +set\b", signed)
    assert listener.messages == []
    started.configure("[notify]\ncommand = ['/nowhere/at-all']\n")
    ended = started.run("doctor")
    assert ended.returncode == 1 and "the command /nowhere/at-all cannot be found or started" in ended.stdout


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("notify = 3", "must be a table"),
        ("[notify]", "needs either `url` or `command`"),
        ("[notify]\nurl = 'https://a.example/x'\ncommand = ['a']", "needs either `url` or `command`"),
        ("[notify]\nurl = 'https://a.example/x'\nevent = ['failed']", "unknown key `event`"),
        ("[notify]\nurl = 'https://a.example/x'\nevents = ['fail']", "Did you mean failed?"),
        ("[notify]\nurl = 'https://a.example/x'\nevents = []", "must be a list"),
        ("[notify]\nurl = 'https://a.example/x'\nevents = 'failed'", "must be a list"),
        ("[notify]\nurl = 'http://a.example/x'", "must begin with https://"),
        ("[notify]\nurl = 'http://localhost.example/x'", "must begin with https://"),
        ("[notify]\nurl = 'https://me:secretword@a.example/x'", "carry no user name"),
        ('[notify]\nurl = "https://a.example/x\\ny"', "must be an address"),
        ("[notify]\nurl = 'https://[::1/secretword'", "not a usable address"),
        ("[notify]\nurl = 'https://a.example:99999/secretword'", "not a usable address"),
        ("[notify]\nurl = 'file:///etc/secretword'", "must name a host"),
        ("[notify]\ncommand = 'tell me'", "must be a list of words"),
        ("[notify]\ncommand = []", "must be a list of words"),
        ("[notify]\ncommand = ['']", "must be a list of words"),
        ("[notify]\ncommand = ['a', 3]", "must be a list of words"),
    ],
)
def test_a_mistake_stops_the_start(tmp_path: Path, table: str, said: str) -> None:
    (tmp_path / "zinc.toml").write_text(table, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings({"ZINC_MCP_HOME": str(tmp_path)})
    told = f"{caught.value.summary} {caught.value.next_step}"
    assert said in told
    assert "secretword" not in told


def test_without_a_list_of_events_all_are_told_and_the_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "zinc.toml").write_text("[notify]\nurl = 'https://a.example/x'\n", encoding="utf-8")
    (tmp_path / "kept").write_text("from-a-file\n", encoding="utf-8")
    settings = load_settings({"ZINC_MCP_HOME": str(tmp_path), "ZINC_MCP_NOTIFY_SECRET_FILE": str(tmp_path / "kept")})
    assert settings.notify is not None and settings.notify.events == frozenset(EVENTS)
    assert settings.notify.secret is not None and settings.notify.secret.get_secret_value() == "from-a-file"
    assert "a.example" not in repr(settings) and "from-a-file" not in repr(settings)

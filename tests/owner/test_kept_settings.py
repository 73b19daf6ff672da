"""Settings take a secret from the store where nothing else has it, and never for another Zinc than its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from started import ROOT, Started

from zinc_mcp.owner.kept_settings import opened
from zinc_mcp.owner.secrets.own_files import InsecureFileError
from zinc_mcp.owner.secrets.store import SecretStore
from zinc_mcp.owner.settings import Settings, load_settings, warnings_about

KEPT = "zn_test_kept_9f2c"
LIVE = "zn_live_planted_5a1e"
ZINC = "https://api.zinc.com"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def keep(home: Path, name: str = "api_key", secret: str = KEPT, origin: str | None = ZINC) -> SecretStore:
    store = SecretStore(home)
    remark = "test" if "_test_" in secret else "live"
    store.put(name, {"value": SecretStr(secret)}, "file", instead_of=store.record(name), origin=origin, remark=remark)
    return store


def settings_of(home: Path, toml: str = "", **environ: str) -> Settings:
    if toml:
        home.mkdir(exist_ok=True)
        (home / "zinc.toml").write_text(toml)
    return load_settings({"ZINC_MCP_HOME": str(home), **environ})


def key_of(settings: Settings) -> tuple[str | None, str]:
    key = settings.api_key
    return None if key is None else key.get_secret_value(), settings.sources["api_key"]


def test_environment_file_toml_and_store_come_in_this_order(home: Path, tmp_path: Path) -> None:
    keep(home)
    (tmp_path / "key").write_text("zn_test_of_a_file")
    assert key_of(settings_of(home)) == (KEPT, "secret store, file")
    toml = 'api_key = "zn_test_toml"\n'
    assert key_of(settings_of(home, toml)) == ("zn_test_toml", "zinc.toml api_key")
    assert key_of(settings_of(home, ZINC_API_KEY_FILE=str(tmp_path / "key"))) == (
        "zn_test_of_a_file",
        "environment ZINC_API_KEY_FILE",
    )
    assert key_of(settings_of(home, ZINC_API_KEY="zn_test_1")) == ("zn_test_1", "environment ZINC_API_KEY")
    (home / "zinc.toml").unlink()
    for unset in ("", "${ZINC_API_KEY}"):
        assert key_of(settings_of(home, ZINC_API_KEY=unset)) == (KEPT, "secret store, file")


def test_practice_uses_no_kept_key(home: Path) -> None:
    keep(home, secret=LIVE)
    settings = settings_of(home, ZINC_MCP_SANDBOX="1")
    assert (key_of(settings), settings.mode, settings.key_record) == ((None, "default"), "sandbox", None)


@pytest.mark.parametrize("url", ["https://api.zinc.com/", "HTTPS://API.ZINC.COM:443", ""])
def test_a_key_is_for_its_own_zinc_however_that_is_spelt(home: Path, url: str) -> None:
    keep(home)
    assert key_of(settings_of(home, ZINC_API_URL=url)) == (KEPT, "secret store, file")


@pytest.mark.parametrize("url", ["https://zinc.example", "http://127.0.0.1:9", "https://api.zinc.com/other", "no url"])
def test_a_key_never_goes_to_another_zinc_and_this_is_said(home: Path, url: str) -> None:
    keep(home, secret=LIVE)
    settings = settings_of(home, ZINC_API_URL=url)
    assert key_of(settings) == (None, "default")
    assert settings.key_trouble is not None
    assert "is for https://api.zinc.com, and ZINC_API_URL names another Zinc" in settings.key_trouble[0]
    assert settings.key_trouble[0] in warnings_about(settings)


def test_each_wallets_key_is_found_and_only_where_that_wallet_is_chosen(home: Path) -> None:
    keep(home, "tempo_private_key", "0x" + "1" * 64, None)
    keep(home, "stripe_secret_key", "rk_test_1", None)
    for wallet, name in (("tempo", "tempo_private_key"), ("stripe", "stripe_secret_key")):
        settings = settings_of(home, ZINC_WALLET=wallet)
        found = {each for each in ("tempo_private_key", "stripe_secret_key") if getattr(settings, each) is not None}
        assert (found, settings.sources[name]) == ({name}, "secret store, file")
    assert settings_of(home).tempo_private_key is None


def test_the_secret_of_messages_is_found_where_there_are_messages(home: Path) -> None:
    keep(home, "notify_secret", "sign-with-this", None)
    assert settings_of(home).notify_secret is None
    settings = settings_of(home, '[notify]\nurl = "https://chat.example/hook"\n')
    assert settings.notify is not None and settings.notify.secret is not None
    assert settings.notify.secret.get_secret_value() == "sign-with-this"


def test_a_broken_store_is_said_and_stops_nothing(home: Path) -> None:
    path = keep(home).path("api_key")
    path.write_text("{")
    settings = settings_of(home)
    assert settings.api_key is None and settings.key_trouble is not None
    assert "secret store cannot be used" in settings.key_trouble[0]
    assert settings_of(home, ZINC_API_KEY="zn_test_1").key_trouble is None


@pytest.mark.skipif(sys.platform == "win32", reason="modes have no meaning there")
def test_a_store_that_others_can_write_to_stops_the_start(home: Path) -> None:
    keep(home).path("api_key").chmod(0o666)
    with pytest.raises(InsecureFileError, match="Other users of this machine can write to"):
        settings_of(home)


def test_a_start_with_a_kept_key_says_which_it_is_and_never_shows_it(home: Path) -> None:
    keep(home, secret=LIVE)
    [said] = warnings_about(settings_of(home))
    assert said.startswith("The API key is the live key that was kept on 2") and "(secret store, file)" in said
    assert LIVE not in said + repr(settings_of(home))


def in_the_keyring(home: Path, tmp_path: Path, secret: str = KEPT) -> dict[str, str]:
    """Keep a key in a keyring as another program would have, and return the variables that lead to that keyring."""
    store = keep(home, secret=secret)
    path = store.path("api_key")
    record = json.loads(path.read_text())
    items = {f"zinc-mcp/api_key {record['id']}": json.dumps(record.pop("parts"))}
    path.write_text(json.dumps({**record, "in": "keyring"}))
    (tmp_path / "items.json").write_text(json.dumps(items))
    tests = str(ROOT / "tests")
    return {
        "PYTHON_KEYRING_BACKEND": "fake_keyring.Ours",
        "FAKE_KEYRING": str(tmp_path / "items.json"),
        "PYTHONPATH": f"{ROOT}:{tests}",
    }


def test_a_key_in_a_keyring_is_opened_only_when_it_is_used(home: Path, tmp_path: Path) -> None:
    in_the_keyring(home, tmp_path)
    settings = settings_of(home)
    assert (settings.api_key, settings.in_keyring, settings.mode) == (None, ("api_key",), "test")
    assert settings.sources["api_key"] == "secret store, keyring"


def test_commands_that_need_no_key_do_not_ask_the_keyring(home: Path, tmp_path: Path) -> None:
    started = Started(tmp_path)
    variables = in_the_keyring(started.home, tmp_path)
    for words in (["pause"], ["resume"], ["policy"], ["orders"]):
        ended = started.quickly(*words, **variables, FAKE_KEYRING_IS="silent")
        assert ended.returncode == 0, ended.stderr


STARTED = """
import asyncio, json, os, sys
import zinc_mcp.wiring
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.owner.settings import load_settings

async def main():
    async with zinc_mcp.wiring.open_process(load_settings()) as process:
        await build_server(process).list_tools()
        rail = process.rails.get("account")
        unusable = process.unusable.get("account")
        print(json.dumps([rail and rail.mode, unusable and unusable.summary, "keyring" in sys.modules,
                          "zinc_mcp.owner.secrets.store" in sys.modules]))

for each in sys.argv[1:]:  # each in a process of its own that has loaded what every start loads
    if not (child := os.fork()):
        os.environ |= json.loads(each)
        asyncio.run(main())
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def starts(*cases: tuple[Path, dict[str, str]], path: Path = ROOT / "tests") -> list[list[object]]:
    """Start in each of these homes with its variables, and return what was found."""
    given = [json.dumps({**variables, "ZINC_MCP_HOME": str(home)}) for home, variables in cases]
    ended = subprocess.run(
        [sys.executable, "-c", STARTED, *given],
        env={"PYTHONPATH": f"{path}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert LIVE not in ended.stdout + ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.thorough
def test_a_start_loads_the_store_where_there_is_one_and_the_keyring_where_the_key_is_in_it(
    home: Path, tmp_path: Path
) -> None:
    in_a_file, elsewhere = tmp_path / "in a file", tmp_path / "in a keyring"
    keep(in_a_file)
    variables = in_the_keyring(elsewhere, tmp_path, LIVE)
    assert starts(
        (home, {}),
        (in_a_file, {}),
        (in_a_file, {"ZINC_MCP_SANDBOX": "1"}),
        (elsewhere, variables),
        (elsewhere, {**variables, "ZINC_API_KEY": "zn_test_1"}),
    ) == [
        [None, None, False, False],
        ["test", None, False, True],
        ["sandbox", None, False, False],
        ["live", None, True, True],
        ["test", None, False, False],
    ]


def test_a_locked_keyring_leaves_a_server_that_says_why_it_cannot_order(home: Path, tmp_path: Path) -> None:
    variables = in_the_keyring(home, tmp_path)
    [[rail, unusable, *_]] = starts((home, {**variables, "FAKE_KEYRING_IS": "locked"}))
    assert (rail, unusable) == (None, "The system's keyring is locked.")


@pytest.mark.thorough
def test_without_the_library_the_sentence_says_what_to_install(home: Path, tmp_path: Path) -> None:
    in_the_keyring(home, tmp_path)
    (tmp_path / "keyring.py").write_text("raise ImportError('not here')\n")
    [[rail, unusable, *_]] = starts((home, {}), path=tmp_path)
    assert rail is None and "the library for it is not installed" in str(unusable)


def test_a_keyring_is_asked_once_and_its_secret_is_in_the_opened_settings(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fake_keyring
    import keyring

    monkeypatch.setenv("FAKE_KEYRING", in_the_keyring(home, tmp_path)["FAKE_KEYRING"])
    before = keyring.get_keyring()
    keyring.set_keyring(fake_keyring.ours())
    try:
        settings = opened(settings_of(home))
    finally:
        keyring.set_keyring(before)
    assert (key_of(settings)[0], settings.in_keyring) == (KEPT, ())
    assert KEPT not in repr(settings)

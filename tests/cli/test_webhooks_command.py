"""`zinc-mcp webhooks`: the address for events is set, shown and removed, and nobody else's is ever replaced."""

import os
import stat
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from preloaded import Ended
from signing import Practice, practice
from started import Started

from zinc_mcp.owner.secrets.store import SecretStore

OURS = "https://zinc.example.com/webhooks/zinc"
THEIRS = "https://them.example/hooks/T0/their-secret"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Generator[Practice]:
    with practice(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


class Owner:
    """An owner with a key of their own, so that each test has another account."""

    def __init__(self, folder: Path, sandbox: Practice) -> None:
        self.started = Started(folder)
        self.key = f"zn_test_{folder.name.replace('-', '_')}"
        self.url = sandbox.url
        self.printed = ""

    def run(self, *words: str, **variables: str) -> Ended:
        given = {"ZINC_API_URL": self.url, "ZINC_API_KEY": self.key, **variables}
        ended = self.started.quickly("webhooks", *words, **given)
        self.printed += ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr, ended
        return ended

    def at_zinc(self, url: str | None = None) -> dict[str, str | None]:
        with httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, trust_env=False) as zinc:
            answer = zinc.put("/webhooks/endpoint", json={"url": url}) if url else zinc.get("/webhooks/endpoint")
            found: dict[str, str | None] = answer.json()
            return found

    def kept(self) -> str | None:
        found = SecretStore(self.started.home).get("webhook_secret")
        return None if found is None else found.value.get_secret_value()


@pytest.fixture
def owner(tmp_path: Path, sandbox: Practice) -> Generator[Owner]:
    found = Owner(tmp_path, sandbox)
    yield found
    secret = found.at_zinc()["webhook_secret"]
    assert secret is None or secret not in found.printed
    assert "their-secret" not in found.printed


@pytest.mark.parametrize(
    "given", ["https://zinc.example.com", "https://zinc.example.com/", "https://zinc.example.com/webhooks/zinc"]
)
def test_an_address_is_set_and_the_secret_kept_where_the_server_reads_it(owner: Owner, given: str) -> None:
    ended = owner.run("set", given)
    assert ended.returncode == 0, ended
    assert f"Zinc sends the events of this account to {OURS}." in ended.stdout
    found = owner.at_zinc()
    assert found["webhook_url"] == OURS
    assert owner.kept() == found["webhook_secret"]
    assert stat.S_IMODE(os.stat(SecretStore(owner.started.home).path("webhook_secret")).st_mode) == 0o600
    told = owner.run("show").stdout
    assert f"{OURS}, which was set here." in told
    assert "The secret that signs them is known here." in told
    doctor = owner.started.quickly("doctor", ZINC_API_URL=owner.url, ZINC_API_KEY=owner.key).stdout
    assert "webhook_secret" in doctor


def test_our_own_address_is_replaced_and_set_again(owner: Owner) -> None:
    owner.run("set", "https://old.example")
    assert owner.run("set", "https://zinc.example.com").returncode == 0
    assert owner.at_zinc()["webhook_url"] == OURS
    (SecretStore(owner.started.home).path("webhook_secret")).unlink()
    assert owner.run("set", "https://zinc.example.com").returncode == 0, "the same address may be set from any home"
    assert owner.kept() == owner.at_zinc()["webhook_secret"]


@pytest.mark.parametrize("ours_before", [False, True])
def test_an_address_that_was_not_set_here_is_neither_replaced_nor_removed(owner: Owner, ours_before: bool) -> None:
    if ours_before:
        owner.run("set", "https://zinc.example.com")
    owner.at_zinc(THEIRS)
    for words in (("set", "https://zinc.example.com"), ("remove",)):
        ended = owner.run(*words)
        assert ended.returncode == 1
        said = "Zinc sends the events of this account to https://them.example, which was not set here."
        assert said in ended.stderr.replace("\n", " ")
        assert "Nothing was changed." in ended.stderr.replace("\n", " ")
        assert owner.at_zinc()["webhook_url"] == THEIRS
    assert "https://them.example, which was not set here." in owner.run("show").stdout


def test_removing_forgets_the_secret_and_needs_no_address(owner: Owner) -> None:
    owner.run("set", "https://zinc.example.com")
    for _ in range(2):
        ended = owner.run("remove")
        assert ended.returncode == 0, ended
        assert "nowhere now" in ended.stdout
        assert owner.at_zinc()["webhook_url"] is None
        assert owner.kept() is None
    told = owner.run("show").stdout
    assert "nowhere" in told
    assert "not known here" in told


@pytest.mark.parametrize(
    "given",
    [
        "http://zinc.example.com",
        "zinc.example.com",
        "https://",
        "https://me:word@zinc.example.com",
        "https://zinc.example.com/?token=1",
        "https://zinc.example.com/#here",
        "https://zinc.example.com:x",
        "https://zinc.exämple",
        f"https://zinc.example.com/{'x' * 500}",
    ],
)
def test_an_address_that_cannot_be_used_changes_nothing(owner: Owner, given: str) -> None:
    assert owner.run("set", given).returncode == 2
    assert owner.at_zinc()["webhook_url"] is None


def test_without_a_key_or_in_practice_there_is_no_address(owner: Owner) -> None:
    ended = owner.run("set", "https://zinc.example.com", ZINC_API_KEY="")
    assert ended.returncode == 1
    assert "there is none here" in ended.stderr.replace("\n", " ")
    assert owner.run("show", ZINC_MCP_SANDBOX="1").returncode == 1
    ended = owner.run("show", ZINC_API_KEY="zn_live_of_nobody")
    assert ended.returncode == 1

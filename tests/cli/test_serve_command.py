"""`zinc-mcp serve`, `members` and `sandbox` check the command line before anything listens."""

import sys
from pathlib import Path

import pytest
from started import Started


def test_a_member_gets_a_token_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    started = Started(tmp_path)
    added = started.run("members", "add", "ada")
    token = added.stdout.strip()
    assert len(token) > 30
    assert token not in added.stderr
    assert token not in (started.home / "members.json").read_text(encoding="utf-8")
    listed = started.run("members", "list")
    assert listed.stdout == "ada  order\n"
    assert started.run("members", "remove", "ada").returncode == 0
    assert started.run("members", "list").stdout == ""
    again = started.run("members", "remove", "ada")
    assert again.returncode == 1
    assert "There is no member ada" in again.stderr


def test_a_member_is_not_added_twice_nor_under_a_name_that_is_none(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.run("members", "add", "ada")
    for name in ("ada", "local", "../ada", "a\x1b[31m"):
        ended = started.run("members", "add", name)
        assert ended.returncode == 1
        assert ended.stdout == ""
        assert "\x1b" not in ended.stderr


def test_the_file_of_members_can_be_another_one(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.run("members", "--members", str(tmp_path / "team.json"), "add", "ada")
    assert (tmp_path / "team.json").exists()
    assert not (started.home / "members.json").exists()


@pytest.mark.parametrize("address", ["8765", "127.0.0.1", "http://127.0.0.1:1", "127.0.0.1:99999", "a b:1", ":8765"])
def test_an_address_to_serve_on_is_host_and_port(tmp_path: Path, address: str) -> None:
    ended = Started(tmp_path).run("serve", "--http", address)
    assert ended.returncode == 2
    assert "HOST:PORT" in ended.stderr


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    certificate.write_text("", encoding="utf-8")
    ended = Started(tmp_path).run("serve", "--http", "127.0.0.1:0", "--tls-cert", str(certificate))
    assert ended.returncode == 2
    assert "go together" in ended.stderr


def test_off_loopback_the_server_names_everything_that_is_missing(tmp_path: Path) -> None:
    ended = Started(tmp_path).run("serve", "--http", "0.0.0.0:0", ZINC_MCP_SANDBOX="1")
    assert ended.returncode == 2
    for missing in ("members", "--allow-host", "TLS"):
        assert missing in ended.stderr


@pytest.mark.parametrize("words", ["--dialect keys=maybe", "--dialect nothing=1", "--pace 0"])
def test_a_sandbox_that_cannot_be_is_a_usage_error(tmp_path: Path, words: str) -> None:
    ended = Started(tmp_path).run("sandbox", "--port", "0", *words.split())
    assert ended.returncode == 2
    assert "Error:" in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="ports below 1024 are everybody's there")
def test_a_port_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    ended = Started(tmp_path).run("sandbox", "--host", "203.0.113.1", "--port", "9")
    assert ended.returncode == 1
    assert "cannot be used" in ended.stderr

"""The files of `deploy/` agree with the program: each variable, command, path, port and name in them exists.

`tests/server/test_behind_proxies.py` runs the configurations of the proxies.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from sqlalchemy import make_url
from started import ROOT, Started

from bench.proxied import NAMES
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Draft, Entry, Limits
from zinc_mcp.known_settings import SETTINGS
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.process import Clocks
from zinc_mcp.server.http.connections import KEEP_ALIVE_SECONDS
from zinc_mcp.server.http.requests import HEALTH_PATH, READY_PATH

DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
PORT = 8765
DRAFT = Draft(
    caller="local",
    mode="test",
    origin="https://api.zinc.com",
    account="fingerprint",
    rail="account",
    twin="t" * 64,
    body_digest="d" * 64,
    given_key=None,
    to_bytes=lambda key: b'{"key":"%s"}' % key.encode(),
    ceiling_cents=5000,
    fee_cents=100,
    facts={"retailer": "amazon.com"},
)
LONGEST_SECONDS = 320 + 2 * Clocks().wire_seconds
"""A program signs for a payment, and what it signed is sent and looked up."""


def read(path: Path) -> list[dict[str, Any]]:
    return [cast(dict[str, Any], each) for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def compose() -> dict[str, Any]:
    return read(COMPOSE)[0]


def servers() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = compose()["services"]
    return {name: each for name, each in services.items() if each.get("image") == "zinc-mcp-team"}


def objects(kind: str) -> list[dict[str, Any]]:
    return [each for path in KUBERNETES for each in read(path) if each["kind"] == kind]


def pod() -> dict[str, Any]:
    [found] = objects("StatefulSet")
    return cast(dict[str, Any], found["spec"]["template"]["spec"])


def container() -> dict[str, Any]:
    [found] = pod()["containers"]
    return cast(dict[str, Any], found)


def strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in cast(dict[object, object], value).items():
            yield from (*strings(name), *strings(each))
    elif isinstance(value, list):
        for each in cast(list[object], value):
            yield from strings(each)
    elif isinstance(value, str):
        yield value


def test_every_variable_in_them_is_a_setting_and_the_values_are_taken(tmp_path: Path) -> None:
    known = {variable for setting in SETTINGS for variable in setting.variables}
    named = {name: dict(each["environment"]) for name, each in servers().items()}
    assert set(named) == set(NAMES)
    for name, environment in named.items():
        assert environment["ZINC_MCP_REPLICA"] == name
        assert set(environment) <= known
    given = {each["name"]: each.get("value") for each in container()["env"]}
    assert set(given) <= known
    files = {name: value for name, value in [*named["zinc-0"].items(), *given.items()] if name.endswith("_FILE")}
    contents = {"journal": "postgresql://zinc:secret@postgres/zinc", "state_keys": "k" * 32}
    contents |= {"digest_key": "d" * 32, "journal_keys": "j" * 32}
    variables = {"ZINC_MCP_HOME": str(tmp_path), "ZINC_MCP_REPLICA": "zinc-0"}
    for name, value in files.items():
        own = tmp_path / Path(value).name
        own.write_text(contents.get(own.name, "zn_test_1"), encoding="utf-8")
        variables[name] = str(own)
    settings = load_settings(variables)
    assert settings.is_shared and settings.digest_key is not None
    assert settings.keys("state_keys") == ("k" * 32,) and settings.keys("journal_keys") == ("j" * 32,)


@pytest.mark.parametrize("words", [servers()["zinc-0"]["command"], container()["args"]], ids=["compose", "kubernetes"])
def test_the_command_lines_are_taken_by_the_program(tmp_path: Path, words: list[str]) -> None:
    # With a port that cannot be had it ends after everything that comes before.
    tried = [word.replace(f"0.0.0.0:{PORT}", "192.0.2.1:1").replace("/secrets/", f"{tmp_path}/") for word in words]
    tried += ["--members", str(tmp_path / "members.json")]  # there is no database here
    started = Started(tmp_path)
    started.home.mkdir()
    assert started.quickly("members", "--members", str(tmp_path / "members.json"), "add", "ada").returncode == 0
    ended = started.quickly(*tried, ZINC_MCP_SANDBOX="1")
    assert ended.returncode != 0 and "Cannot listen on 192.0.2.1:1" in ended.stderr, ended.stderr


def test_ports_paths_and_probes_are_those_of_the_server() -> None:
    probes = {name: container()[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: each["path"] for name, each in probes.items()} == {
        "startup": HEALTH_PATH,
        "liveness": HEALTH_PATH,
        "readiness": READY_PATH,
    }
    assert container()["ports"] == [{"name": "http", "containerPort": PORT}]
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert f"EXPOSE {PORT}" in dockerfile
    nginx = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for text in (nginx, (DEPLOY / "Caddyfile").read_text(encoding="utf-8")):
        assert set(re.findall(r"zinc-\d:(\d+)", text)) == {str(PORT)}
        assert set(re.findall(r"\bzinc-\d\b", text)) == set(NAMES)
    assert KEEP_ALIVE_SECONDS and 'proxy_set_header Connection ""' in nginx
    assert re.findall(r"proxy_next_upstream (\w+);", nginx) == ["off"]
    assert re.findall(r"proxy_set_header Host (\S+);", nginx) == ["$http_host"]


def test_a_stop_waits_longer_than_the_longest_purchase() -> None:
    for each in servers().values():
        found = re.fullmatch(r"(\d+)m", each["stop_grace_period"])
        assert found is not None and int(found[1]) * 60 > LONGEST_SECONDS
    assert pod()["terminationGracePeriodSeconds"] > LONGEST_SECONDS


def test_the_servers_have_no_rights_and_write_nowhere_but_in_their_home() -> None:
    user = re.findall(r"^USER (\d+):(\d+)$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert user == [("10001", "10001")]
    for each in servers().values():
        assert each["read_only"] and each["cap_drop"] == ["ALL"] and each["volumes"] == ["home:/data"]
    assert pod()["securityContext"] | {"runAsNonRoot": True, "runAsUser": 10001} == pod()["securityContext"]
    for each in (container(), *pod()["initContainers"]):
        limits = each["securityContext"]
        assert limits["readOnlyRootFilesystem"] and not limits["allowPrivilegeEscalation"]


def test_each_file_secret_and_service_that_is_referred_to_exists() -> None:
    whole = compose()
    for name, each in whole["services"].items():
        assert set(each.get("secrets", ())) <= set(whole["secrets"]), name
        for volume in each.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in whole["volumes"] or source in ("./nginx.conf", "./tls"), volume
        assert set(each.get("depends_on", ())) <= set(whole["services"])
    build = servers()["zinc-0"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert f"AS {build['target']}\n" in dockerfile and set(build["args"]) <= set(re.findall(r"ARG (\w+)", dockerfile))
    mounts = {each["name"] for each in container()["volumeMounts"]}
    assert mounts <= {each["name"] for each in pod()["volumes"]}
    services = {each["metadata"]["name"]: each["spec"] for each in objects("Service")}
    for name in NAMES:
        assert services[name]["selector"] == {"statefulset.kubernetes.io/pod-name": name}
        assert services[name]["ports"] == [{"name": "http", "port": PORT, "targetPort": "http"}]
    [state] = objects("StatefulSet")
    assert [f"{state['metadata']['name']}-{number}" for number in range(state["spec"]["replicas"])] == list(NAMES)
    assert state["spec"]["serviceName"] in services


def test_no_secret_stands_in_them() -> None:
    for path in (*DEPLOY.rglob("*.yaml"), DEPLOY / "nginx.conf", DEPLOY / "Caddyfile"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"zn_(live|test)_|postgresql://|BEGIN [A-Z ]*PRIVATE|PASSWORD: ", text), path.name
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"deploy/secrets/", "deploy/tls/"} <= set(ignored)


def test_compose_reads_its_file() -> None:
    found = shutil.which("docker")
    if found is None or subprocess.run([found, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("the plugin `docker compose` is not installed")
    ended = subprocess.run(
        [found, "compose", "--file", str(COMPOSE), "config", "--quiet"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_the_compose_file_is_one_by_its_specification() -> None:
    read_by = pytest.importorskip("compose_spec", reason="compose-spec is not there; .ci/full brings it").PyCompose
    read_by.from_json(json.dumps(compose())).validate()


def test_kubernetes_knows_every_field_of_its_files() -> None:
    found = shutil.which("kubernetes-validate")
    if found is None:
        pytest.skip("kubernetes-validate is not there; .ci/full brings it")
    words = [found, "--strict", "--quiet", *map(str, KUBERNETES)]
    ended = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_caddy_reads_its_file() -> None:
    found = shutil.which("caddy")
    if found is None:
        pytest.skip("Caddy is not installed; .ci/full installs it where it may")
    words = [found, "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_the_servers_are_started_anew_one_after_the_other_and_none_after_one_that_does_not_answer(
    tmp_path: Path,
) -> None:
    said = tmp_path / "said"
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$PWD $*" >> {said}\ncase "$*" in *zinc-1) exit 1; esac\n')
    docker.chmod(0o700)
    words = ["/bin/sh", str(DEPLOY / "restart.sh")]
    ended = subprocess.run(words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, cwd=tmp_path, check=False)
    up = f"{DEPLOY} compose up --detach --no-deps --force-recreate --wait"
    assert ended.returncode != 0
    assert said.read_text(encoding="utf-8").splitlines() == [
        f"{up} zinc-0",
        f"{DEPLOY} compose exec -T nginx nginx -s reload",
        f"{up} zinc-1",
    ]
    docker.write_text(f'#!/bin/sh\necho "$*" >> {said}\n')
    said.unlink()
    subprocess.run(words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, cwd=tmp_path, check=True)
    started = [line.split()[-1] for line in said.read_text(encoding="utf-8").splitlines() if " up " in line]
    assert started == list(NAMES)


def test_a_journal_that_was_dumped_and_restored_knows_the_orders_of_then_and_no_others(
    postgres: Any, make_database: Callable[..., str], tmp_path: Path
) -> None:
    programs = Path(postgres.bin_path)
    name = str(make_url(make_database()).database)
    url, beside = postgres.get_uri(name), postgres.get_uri("postgres")
    page = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    [dumps] = re.findall(r"postgres pg_dump (.*) zinc > journal\.dump", page)
    [restores] = re.findall(r"postgres pg_restore (.*) --dbname postgres (.*) < journal\.dump", page)
    dump = tmp_path / "journal.dump"
    with Journal.open(url) as journal:
        opened = journal.open_entry(DRAFT, Limits(), owner="me", lease_seconds=30, window_seconds=86_400)
        words = dumps.replace("--username zinc", "").split()
        subprocess.run([programs / "pg_dump", *words, f"--file={dump}", url], check=True)
        later = replace(DRAFT, twin="u" * 64)
        assert isinstance(opened, Entry)
        assert isinstance(
            journal.open_entry(later, Limits(), owner="me", lease_seconds=30, window_seconds=86_400), Entry
        )
    options = " ".join(restores).replace("--username zinc", "").split()
    subprocess.run([programs / "pg_restore", *options, f"--dbname={beside}", dump], check=True)
    with Journal.open(url) as journal:
        assert [entry.key for entry in journal.entries()] == [opened.key]

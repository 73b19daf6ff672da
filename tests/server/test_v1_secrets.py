"""No card, login or key comes in through `place_v1_order`, and none of a kept account ever comes out anywhere."""

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast, get_args, get_origin

import anyio
import httpx
import planted_account as planted
import preloaded
import pytest
from conftest import HandClock
from deciding import yes
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from own_accounts import ALLOWED, NUMBERS, ORIGIN, Wire, keyring_of_the_test, practising, wish
from planted_account import keep, shown_in
from pydantic import BaseModel, SecretStr
from server.as_a_host import both_eras, host
from signing import practice
from started import ROOT, Started

from zinc_mcp.checkout.deciding import decide as decisions
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.consent.approval import kept_question
from zinc_mcp.journal.records.entry import Entry, Mode
from zinc_mcp.owner.retailer_accounts import opened_account, profile_named, with_secrets
from zinc_mcp.process import Clocks, Process
from zinc_mcp.rails import LeaseOverError
from zinc_mcp.rails.v1 import V1Rail
from zinc_mcp.sandbox.v1.rules.products import practice_id
from zinc_mcp.zinc.v1.client import V1Client
from zinc_mcp.zinc.v1.order import V1_NOT_IN_SCHEMA, V1Order

Place = tuple[str | int, ...]
SANDBOX: tuple[Mode, ...] = ("sandbox",)
CARD = "5500 0055 5555 5559"
CRITERIA = {
    "addon": True, "buy_box": True, "condition_in": ["New"], "condition_not_in": ["New"], "first_party_seller": True,
    "handling_days_max": 5, "international": True, "max_item_price": 5, "merchant_id_in": ["A1"],
    "merchant_id_not_in": ["A2"], "min_seller_num_ratings": 5, "min_seller_percent_positive_feedback": 90,
    "prime": True, "allow_oos": True,
}  # fmt: skip
CODE = {
    "code": "SAVE", "optional": True, "merchant_id": "A1", "discount_amount": 5, "discount_percentage": 5,
    "cost_override": 5,
}  # fmt: skip
EVERYTHING: dict[str, Any] = wish(
    products=[{"product_id": NUMBERS[0], "quantity": 1, "seller_selection_criteria": CRITERIA}],
    shipping_address={**wish()["shipping_address"], "address_line2": "2", "country": "US", "instructions": "Ring"},
    shipping={"order_by": "price", "max_days": 5, "max_price": 500},
    is_gift=True, gift_message="Enjoy", require_gift=True, promo_codes=[CODE], max_delivery_days=5,
    strict_expired_product_id=True, fail_if_taxed=True, take_buybox_offers=True, force_offers_postal_code="10001",
    zma_discount=-5, addax_queue_timeout=600, zma_prime_optout=True, zma_priority_bid=100, amazon_day="Monday",
    po_number=1, client_notes={"a": {"b": ["c", 1]}}, idempotency_key="key-1",
)  # fmt: skip
"""Every field at every depth, also those that exclude each other: each is looked at before they are held together."""


@pytest.fixture(autouse=True)
def ready(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Let the policy allow the account `work`, and the keyring be a file."""
    home.mkdir()
    (home / "zinc.toml").write_text(ALLOWED)
    monkeypatch.setenv("FAKE_KEYRING", str(tmp_path / "keyring.json"))
    with keyring_of_the_test():
        yield


# Nothing comes in


def names_of(model: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of each field of a model, at every depth; an element of a list is at 0."""
    for name, field in model.model_fields.items():
        yield (*place, name)
        for inner, is_row in _models_in(field.annotation):
            yield from names_of(inner, (*place, name, *((0,) if is_row else ())))


def _models_in(annotation: Any, *, is_row: bool = False) -> Iterator[tuple[Any, bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, is_row
    for part in get_args(annotation):
        yield from _models_in(part, is_row=is_row or get_origin(annotation) is list)


def parts(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield every value inside a value, with its place."""
    held = cast(dict[str, Any], value) if isinstance(value, dict) else {}
    rows = enumerate(cast(list[Any], value)) if isinstance(value, list) else held.items()
    for name, part in rows:
        yield (*place, name), part
        yield from parts(part, (*place, name))


PARTS = dict(parts(EVERYTHING))
LEAVES = [place for place, part in PARTS.items() if not isinstance(part, dict | list)]
OBJECTS: list[Place] = [(), *(place for place, part in PARTS.items() if isinstance(part, dict))]


def put(place: Place, value: Any) -> dict[str, Any]:
    """Return the whole order with a value in a place."""
    order = json.loads(json.dumps(EVERYTHING))
    at = order
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    return dict(order)


def test_every_field_of_the_order_is_tried() -> None:
    assert set(names_of(V1Order)) <= PARTS.keys()
    assert len(LEAVES) > 50 and len(OBJECTS) > 6


async def attacked(process: Process, mode: str, attacks: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, Any]]:
    """Call the tool with each, which must be refused and repeat nothing; return what was said of each."""
    said: list[tuple[str, Any]] = []
    async with host(process, mode) as client:
        for name, order in attacks:
            result = await client.call_tool("place_v1_order", order)
            told = result.model_dump_json()
            assert result.is_error and not shown_in(told) and CARD not in told, (name, told)
            assert planted.NUMBER not in told.replace(" ", ""), (name, told)
            said.append((name, result.structured_content))
        assert await process.journal.run(lambda journal: journal.listed("local", SANDBOX, None, None, 9)) == []
    return said


@both_eras
async def test_a_card_comes_in_through_no_argument(home: Path, clocks: Clocks, clock: HandClock, mode: str) -> None:
    wire = Wire(clock)
    attacks: list[tuple[str, dict[str, Any]]] = []
    for place in LEAVES:
        values = (planted.NUMBER, f"it is {CARD}, thanks", int(planted.NUMBER), CARD.replace(" ", "-"))
        attacks += [(str(place[0]), put(place, value)) for value in values]
    async with practising(home, wire, clocks, clock) as process:
        for field, told in await attacked(process, mode, attacks):
            assert told["code"] == "invalid_arguments"
            assert any(problem["field"].startswith(field) for problem in told["problems"]), (field, told)
    assert wire.sent == []


@pytest.mark.parametrize(
    "secret",
    [planted.EMAIL.upper(), planted.PASSWORD, " ".join(planted.TOTP), "practice-token"],
    ids=["login", "password", "key for codes", "client token"],
)
async def test_no_secret_that_is_known_here_comes_in_by_its_value(
    home: Path, clocks: Clocks, clock: HandClock, secret: str
) -> None:
    wire = Wire(clock)
    keep(home, ORIGIN)
    orders = [
        wish(client_notes={"a": [{"b": f"it is {secret}, thanks"}]}),
        wish(is_gift=True, gift_message=secret),
        wish(shipping_address={**wish()["shipping_address"], "instructions": secret}),
    ]
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        for order in orders:
            result = await client.call_tool("place_v1_order", order)
            assert result.structured_content and result.structured_content["code"] == "invalid_arguments"
            assert secret not in result.model_dump_json()
    assert wire.sent == []
    assert not [path for path in home.rglob("journal*") if secret.encode() in path.read_bytes()]


@pytest.mark.parametrize("text", [f"it is {CARD}", "5500_0055_5555_5559", "otpauth://totp/x?secret=A"])
async def test_no_card_comes_in_with_a_report_or_a_return(
    home: Path, clocks: Clocks, clock: HandClock, text: str
) -> None:
    async with practising(home, Wire(clock), clocks, clock) as process, host(process, "auto") as client:
        asked = {"order_id": "x", "reason": "wrong_item", "items": [{"number": 1, "quantity": 1}], "notes": text}
        for tool, given in (
            ("return_order", asked),
            ("report_problem", {"order_id": "x", "reason": "late", "message": text}),
        ):
            result = await client.call_tool(tool, given)
            assert result.structured_content and result.structured_content["code"] == "invalid_arguments"
            assert text not in result.model_dump_json()


async def test_nothing_comes_in_under_another_name_at_any_depth(home: Path, clocks: Clocks, clock: HandClock) -> None:
    wire = Wire(clock)
    given: dict[str, Any] = {
        **{name: planted.document().get(name, {"a": planted.PASSWORD}) for name in V1_NOT_IN_SCHEMA},
        **dict.fromkeys(
            ("password", "cvv", "totp", "security_code", "card_number", "zinc_mcp_profile"), planted.PASSWORD
        ),
        planted.NUMBER: 1,
    }
    attacks = [(f"{place} {name}", put((*place, name), value)) for place in OBJECTS for name, value in given.items()]
    async with practising(home, wire, clocks, clock) as process:
        for _, told in await attacked(process, "auto", attacks):
            assert told["code"] == "invalid_arguments"
    assert wire.sent == []


# Nothing comes out


async def told_of(client: Client, number: str, **changes: Any) -> str:
    """Place an order and follow it; return everything that a host is told."""
    placed = await client.call_tool("place_v1_order", wish(number, **changes))
    facts: dict[str, Any] = placed.structured_content or {}
    handle = facts.get("order_id") or facts.get("key")
    said = [placed.model_dump_json()]
    if handle is not None:
        said.append((await client.call_tool("get_order", {"order_id": handle})).model_dump_json())
    return "".join([*said, (await client.call_tool("list_orders", {})).model_dump_json()])


def notes(text: str) -> dict[str, Any]:
    return {"client_notes": {"practice": text}}


JOURNEYS: list[tuple[str, dict[str, Any]]] = [
    (NUMBERS[0], {}),
    (NUMBERS[1], notes("fault=drop_after,drop_after&list_fault=http_500_before,http_500_before")),
    (NUMBERS[2], notes("fault=drop_before,drop_before")),
    (NUMBERS[3], notes("fault=other_order,other_order")),
    (NUMBERS[4], notes("fault=truncated,huge")),
    (NUMBERS[5], notes("fault=http_500_after,html_502_after")),
    (practice_id("refused_invalid_login_credentials"), {}),
    (practice_id("failed_credit_card_declined"), {}),
    (practice_id("failed_account_locked_verification_required"), {}),
    (practice_id("failed_order_probably_placed"), {}),
    (practice_id("refused_account_login_failed"), {"max_price": 100}),
]


@pytest.mark.parametrize("dialect", ["", "v1_running=full,v1_listing=wrapped,v1_error_status=status_4xx"])
async def test_results_logs_and_files_show_nothing_whatever_happens_to_an_order(
    home: Path, tmp_path: Path, clocks: Clocks, clock: HandClock, caplog: pytest.LogCaptureFixture, dialect: str
) -> None:
    keep(home, ORIGIN)
    wire = Wire(clock, home / "sandbox.db", dialect=dialect)
    said: list[str] = []
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        logging.getLogger().setLevel(logging.DEBUG)
        for name in ("httpx", "httpcore", "asyncio", "sqlalchemy", "mcp", "zinc_mcp"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        for number, changes in JOURNEYS:
            said.append(await told_of(client, number, **changes))
            clock.pass_seconds(7)
        entries = await process.journal.run(lambda journal: journal.listed("local", SANDBOX, None, None, 99))
        said += [repr(each) for each in entries]
        said += [json.dumps([each.facts, each.problem, each.consent], default=repr) for each in entries]
        for each in entries:
            said.append((await client.call_tool("get_order", {"order_id": each.key})).model_dump_json())
    assert len(wire.sent) > len(JOURNEYS) and all(planted.NUMBER.encode() in body for body in wire.sent)
    states = {each.state for each in entries}
    assert {"unknown", "rejected", "failed"} < states, states
    said += [caplog.text, *wire.headers]
    assert [shown_in(text) for text in said if shown_in(text)] == []
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {path.name: shown_in(path.read_bytes()) for path in files if shown_in(path.read_bytes())} == {}
    assert {"journal.db", "digest.key"} <= {path.name for path in files}


class Quoting(Wire):
    """A Zinc that quotes the account in all of its words."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the sandbox does, in other words."""
        answer = await super().handle_async_request(request)
        await answer.aread()
        told: Any = answer.json()
        rows = cast(list[dict[str, Any]], told if isinstance(told, list) else [told])
        for each in rows:
            if each.get("_type") == "error":
                each |= error_of(each["code"], f"no login with {planted.PASSWORD} and {planted.TOTP}")
            each["retailer_credentials"] = planted.document()["retailer_credentials"]
            for row in each.get("merchant_order_ids", []):
                row |= {"account": planted.EMAIL, "note": planted.PASSWORD}
        return httpx.Response(answer.status_code, json=told)


async def test_zincs_quotes_of_an_account_are_not_passed_on(home: Path, clocks: Clocks, clock: HandClock) -> None:
    keep(home, ORIGIN)
    said: list[str] = []
    async with practising(home, Quoting(clock), clocks, clock) as process, host(process, "auto") as client:
        for number, changes in JOURNEYS:
            said.append(await told_of(client, number, **changes))
            clock.pass_seconds(7)
        entries = await process.journal.run(lambda journal: journal.listed("local", SANDBOX, None, None, 99))
        for each in entries:
            said += [repr(each), (await client.call_tool("get_order", {"order_id": each.key})).model_dump_json()]
    assert {"placed", "rejected", "failed"} <= {each.state for each in entries}, {each.state for each in entries}
    assert [shown_in(text) for text in said if shown_in(text)] == []
    for path in home.rglob("*"):
        assert not path.is_file() or not shown_in(path.read_bytes()), path.name


async def test_the_question_and_what_a_person_reads_show_nothing(home: Path, clocks: Clocks, clock: HandClock) -> None:
    (home / "zinc.toml").write_text(f'{ALLOWED}approval = "page"\n')
    keep(home, ORIGIN)
    async with practising(home, Wire(clock), clocks, clock) as process, host(process, "legacy") as client:
        said = [await told_of(client, NUMBERS[0])]
        [entry] = await waiting(process)
        question = kept_question(entry)
        said += [question.model_dump_json(), str(question), json.dumps(entry.consent)]
        await decisions.decide(process, yes(entry))
        [entry] = await process.journal.run(lambda journal: journal.listed("local", SANDBOX, None, None, 9))
        said += [repr(entry), (await client.call_tool("get_order", {"order_id": entry.key})).model_dump_json()]
        assert entry.state == "accepted"
    assert [shown_in(text) for text in said if shown_in(text)] == []


async def waiting(process: Process) -> list[Entry]:
    return list(await questions_for(process, "local"))


async def test_no_exception_shows_anything_not_even_with_the_variables_of_our_code(
    home: Path, clock: HandClock
) -> None:
    profile = profile_named(home, "work") if keep(home, ORIGIN) else None
    assert profile is not None
    body = with_secrets(b'{"zinc_mcp_profile":"work","client_notes":{}}', opened_account(home, profile))
    quoting = error_of("invalid_login_credentials", f"{planted.EMAIL} and {planted.PASSWORD} do not fit")
    answers: list[Any] = [
        httpx.ReadError("lost"), httpx.ConnectError("none"), ValueError("a fault in a library"), httpx.Response(500),
        httpx.Response(302), httpx.Response(200, html=planted.PASSWORD), httpx.Response(200, content=b"x" * 300_000),
        httpx.Response(200, json=quoting), httpx.Response(401, json=quoting), LeaseOverError(),
    ]  # fmt: skip
    shown: list[str] = []
    for given in answers:

        def answer(request: httpx.Request, given: Any = given) -> httpx.Response:
            assert all(secret in request.content.decode() for secret in (planted.NUMBER, planted.PASSWORD))
            if isinstance(given, Exception):
                raise given
            return httpx.Response(given.status_code, headers=given.headers, content=given.content)

        rail = V1Rail(V1Client(ORIGIN, transport=httpx.MockTransport(answer)), SecretStr("token"), "sandbox", clock)
        with pytest.raises(Exception) as failed:  # of many kinds, and none of them may show a secret
            await rail.send(body, lambda: None)
        whole: traceback.TracebackException | None = traceback.TracebackException.from_exception(
            failed.value, capture_locals=True
        )
        assert not isinstance(failed.value, AssertionError)
        shown.append("".join(traceback.format_exception(failed.value)) + repr(vars(failed.value)))
        quotes = isinstance(given, httpx.Response) and planted.PASSWORD in given.text
        while whole is not None and not quotes:  # what Zinc itself says is in the variables of whoever reads it
            ours = [frame for frame in whole.stack if "/zinc_mcp/" in frame.filename]
            shown += [f"{frame.name} {frame.locals}" for frame in ours]
            whole = whole.__cause__ or whole.__context__
    assert len(shown) > 30
    assert [text for text in shown if shown_in(text)] == []


def error_of(code: str, message: str) -> dict[str, Any]:
    """Return an error of v1 that quotes in every place."""
    wrong = [{"path": "retailer_credentials.password", "message": message, "value": planted.PASSWORD}]
    data = {"validator_errors": wrong, "password": planted.PASSWORD}
    return {"_type": "error", "code": code, "message": message, "data": data}


# A process of its own


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc")
async def test_a_server_that_is_killed_in_the_middle_leaves_no_secret_in_files_arguments_and_output(
    home: Path, tmp_path: Path
) -> None:
    started = Started(tmp_path)
    with practice(tmp_path / "zinc") as zinc:
        (home / "zinc.toml").write_text(f'{ALLOWED}approval = "none"\n')
        keep(home, f"{zinc.url}/v1")
        environment = started.environment | {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
            "PYTHON_KEYRING_BACKEND": "fake_keyring.Ours",
            "FAKE_KEYRING": str(tmp_path / "keyring.json"),
            "ZINC_V1_CLIENT_TOKEN": "planted-token-5a1e",
            "ZINC_V1_API_URL": f"{zinc.url}/v1",
        }
        said: list[str] = []
        log = tmp_path / "stderr.log"
        server = StdioServerParameters(command=sys.executable, args=["-X", "dev", "-m", "zinc_mcp"], env=environment)
        with log.open("w+", encoding="utf-8") as errlog:
            async with Client(stdio_client(server, errlog=errlog)) as client:
                said.append(await told_of(client, NUMBERS[0]))
                assert "accepted" in said[0] or "placed" in said[0], said[0][:2000]
                async with anyio.create_task_group() as tasks:
                    hanging = wish(NUMBERS[1], client_notes={"practice": "fault=hang"})
                    tasks.start_soon(_call_until_killed, client, hanging)
                    with anyio.fail_after(60):
                        while not zinc.rows("SELECT 1 FROM attempts WHERE outcome LIKE '%' LIMIT 1 OFFSET 1"):
                            await anyio.sleep(0.1)
                    [process] = _servers_of(home)
                    said += [_read(process, "cmdline"), _read(process, "environ"), _read(process, "comm")]
                    os.kill(process, signal.SIGKILL)
                    tasks.cancel_scope.cancel()
        for line in ("orders", "orders --json", "doctor", "policy", "reconcile", "retailer-accounts list",
                     "orders export", "orders export --format json"):  # fmt: skip
            said.append(_ended(environment, *line.split()))
        keys = [row["key"] for row in json.loads(_ended(environment, "orders", "--json"))]
        for key in keys:
            said += [_ended(environment, "orders", "show", key), _ended(environment, "orders", "show", key, "--json")]
            evidence = _ended(environment, "orders", "evidence", key, "--with-address")
            said.append(evidence)
        assert len(keys) == 2
        said.append(log.read_text(encoding="utf-8"))
    assert [shown_in(text) for text in said if shown_in(text)] == []
    assert not any("planted-token-5a1e" in text for text in said if "ZINC_V1_CLIENT_TOKEN" not in text)
    folders = (home, tmp_path / "zinc", tmp_path / "user")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert {path.name: shown_in(path.read_bytes()) for path in files if shown_in(path.read_bytes())} == {}


async def _call_until_killed(client: Client, order: dict[str, Any]) -> None:
    with suppress(Exception):  # the server is killed meanwhile
        await client.call_tool("place_v1_order", order)


def _servers_of(home: Path) -> list[int]:
    """Return the processes that have the home in their environment and run the server."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            is_ours = f"ZINC_MCP_HOME={home}\0".encode() in path.read_bytes()
            if is_ours and b"zinc_mcp\0" in path.with_name("cmdline").read_bytes():
                found.append(int(path.parent.name))
    return found


def _read(process: int, name: str) -> str:
    return Path(f"/proc/{process}/{name}").read_bytes().decode("utf-8", "replace")


def _ended(environment: dict[str, str], *words: str) -> str:
    ended = preloaded.finished(words, environment)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stdout if words[-1] == "--json" else ended.stdout + ended.stderr

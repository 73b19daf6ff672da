"""An order for an account of one's own: the secrets join it at the sending, and only the same ones ever go twice."""

import json
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import planted_account as planted
import pytest
from conftest import HandClock
from deciding import yes
from own_accounts import ALLOWED, NUMBERS, ORIGIN, Wire, keyring_of_the_test, practising, wish
from planted_account import keep, shown_in
from pydantic import SecretStr
from server.as_a_host import both_eras, call, host, refused, said
from wanted import arguments as by_page

from zinc_mcp.checkout.deciding import decide as decisions
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.entry import Entry, Mode
from zinc_mcp.owner.retailer_accounts import payment_in_words, secret_name
from zinc_mcp.process import Clocks, Process
from zinc_mcp.sandbox.v1.rules.products import practice_id
from zinc_mcp.spending.own_account import ACCOUNT

GIFT: dict[str, Any] = {"payment_method": {"use_gift": True}}
LOST = {"practice": "fault=drop_before,drop_before"}
"""The first two requests never arrive."""
Write = Callable[[str], Path]


@pytest.fixture
def clocks(clocks: Clocks) -> Clocks:
    """Let a call wait for three seconds for its yes, which comes after the call in these tests."""
    return replace(clocks, answer_seconds=3.0)


@pytest.fixture(autouse=True)
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_config: Write) -> Generator[None]:
    """Let the policy allow the account `work`, and the keyring be a file."""
    write_config(ALLOWED)
    monkeypatch.setenv("FAKE_KEYRING", str(tmp_path / "keyring.json"))
    with keyring_of_the_test():
        yield


@pytest.fixture
def wire(clock: HandClock) -> Wire:
    return Wire(clock)


async def entries_of(process: Process) -> list[Entry]:
    modes: tuple[Mode, ...] = ("sandbox",)
    return list(await process.journal.run(lambda journal: journal.listed("local", modes, None, None, 20)))


async def only_entry(process: Process) -> Entry:
    [entry] = await entries_of(process)
    return entry


PAYMENTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (planted.CARD, {**planted.CARD, "use_gift": False}, "a card that ends in 5559"),
    (
        {**planted.CARD, "use_gift": True},
        {**planted.CARD, "use_gift": True},
        "first its gift balance, then a card that ends in 5559",
    ),
    ({"use_gift": True}, {"use_gift": True}, "its gift balance"),
    (
        {"use_account_payment_defaults": True},
        {"use_account_payment_defaults": True},
        "the payment that it has by default",
    ),
]


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize(("payment", "sent", "words"), PAYMENTS, ids=["card", "both", "gift", "default"])
async def test_login_and_payment_go_out_and_stay_out_of_the_journal(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock, mode: str, payment: Any, sent: Any, words: str
) -> None:
    keep(home, ORIGIN, payment_method=payment)
    async with practising(home, wire, clocks, clock) as process, host(process, mode) as client:
        told = await call(client, "place_v1_order", wish())
        assert told["outcome"] == "accepted"
        [body] = [json.loads(each) for each in wire.sent]
        assert body["retailer_credentials"] == {
            "email": planted.EMAIL,
            "password": planted.PASSWORD,
            "totp_2fa_key": planted.TOTP,
        }
        assert (body["payment_method"], body["billing_address"]) == (sent, planted.ADDRESS)
        assert "addax" not in body and "zinc_mcp_profile" not in body
        entry = await only_entry(process)
        kept = json.loads(entry.body or b"")
        assert kept.pop("zinc_mcp_profile") == "work"
        assert kept == {name: value for name, value in body.items() if name not in planted.ADDED}
        assert not shown_in(repr(entry) + json.dumps(entry.facts)) and not shown_in(entry.body or b"")
        assert payment_in_words(entry.facts[ACCOUNT]["payment"], entry.facts[ACCOUNT].get("last_four")) == words


async def test_a_managed_order_gets_no_secret(home: Path, wire: Wire, clocks: Clocks, clock: HandClock) -> None:
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        await call(client, "place_v1_order", wish(retailer_account=None))
    [body] = wire.sent
    assert json.loads(body)["addax"] is True and not shown_in(body)
    assert not (home / "digest.key").exists()


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("", {}, {}, "not_allowed", "does not allow this retailer account"),
    ("[policy]\nretailer_accounts = true\n", {}, {}, "not_allowed", "does not allow this retailer account"),
    ('[policy]\nretailer_accounts = ["other"]\n', {}, {}, "not_allowed", "does not allow this retailer account"),
    (
        '[policy]\nretailer_accounts = ["gone"]\n',
        {},
        {"retailer_account": {"profile": "gone"}},
        "account_not_configured",
        "No account at a retailer is kept under that name",
    ),
    (ALLOWED, {"retailer": "walmart", **GIFT}, {}, "invalid_arguments", "for another retailer"),
    (ALLOWED, {"origin": "https://api.zinc.io/v1"}, {}, "account_not_configured", "for another Zinc"),
]


@pytest.mark.parametrize(("policy", "kept", "order", "code", "said"), REFUSED)
async def test_an_account_that_may_not_be_used_is_refused_and_nothing_is_sent(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock, write_config: Write, policy: str, kept: Any, order: Any,
    code: str, said: str,
) -> None:  # fmt: skip
    write_config(policy)
    rest = {name: value for name, value in kept.items() if name != "origin"}
    keep(home, kept.get("origin", ORIGIN), **rest)
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        told = await refused(client, "place_v1_order", wish(**order))
        assert (told["code"], said in told["summary"]) == (code, True), told
        assert await entries_of(process) == []
    assert wire.sent == []


async def test_a_keyring_that_is_locked_sends_nothing(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(home, ORIGIN)
    monkeypatch.setenv("FAKE_KEYRING_IS", "locked")
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        told = await refused(client, "place_v1_order", wish())
    assert told["code"] == "account_not_configured" and "The system's keyring is locked." in told["summary"]
    assert wire.sent == []


# A yes is for the account as it was shown


async def asked(process: Process, client: Any) -> Entry:
    await call(client, "place_v1_order", wish())
    entry = await only_entry(process)
    assert entry.state == "waiting"
    return entry


async def test_the_question_names_account_and_payment_and_no_secret(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock, write_config: Write
) -> None:
    write_config(f'{ALLOWED}approval = "page"\n')
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock) as process, host(process, "legacy") as client:
        entry = await asked(process, client)
        shown = json.dumps(entry.consent, ensure_ascii=False)
        assert not shown_in(shown)
        assert "by your own account at the retailer, kept here as “work”, with a card that ends in 5559" in shown
        assert "Bought with your own account at the retailer, kept here as" in shown
        assert "managed" not in shown and "zinc_mcp_profile" not in shown
        await decisions.decide(process, yes(entry))
    [body] = wire.sent
    assert json.loads(body)["payment_method"]["number"] == planted.NUMBER


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize(("payment", "sent", "words"), PAYMENTS, ids=["card", "both", "gift", "default"])
async def test_results_say_which_account_buys_and_what_pays(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock, mode: str, payment: Any, sent: Any, words: str
) -> None:
    keep(home, ORIGIN, payment_method=payment)
    own = f"the user's own, kept here as work, with {words}"
    managed = "one that Zinc manages (ZMA)"
    async with practising(home, wire, clocks, clock) as process, host(process, mode) as client:
        orders = {
            own: await call(client, "place_v1_order", wish()),
            managed: await call(client, "place_v1_order", wish(NUMBERS[1], retailer_account=None)),
        }
        for account, placed in orders.items():
            assert placed["retailer_account"] == account
            read = await call(client, "get_order", {"order_id": placed["order_id"]})
            assert read["retailer_account"] == account
        rows = (await call(client, "list_orders", {}))["orders"]
        assert {row["id"]: row["retailer_account"] for row in rows} == {
            placed["order_id"]: account for account, placed in orders.items()
        }
        placed = await call(client, "place_order", by_page())
        assert "retailer_account" not in placed, "v2 chooses the account itself"


async def test_a_purge_keeps_which_account_bought(home: Path, wire: Wire, clocks: Clocks, clock: HandClock) -> None:
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        placed = await call(client, "place_v1_order", wish())
        for _ in range(8):
            clock.pass_seconds(3600)
            if (await call(client, "get_order", {"order_id": placed["order_id"]}))["is_final"]:
                break
        clock.pass_seconds(400 * 86_400)
        assert await process.journal.run(lambda journal: journal.purge(86_400))
        read = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert read["retailer_account"].startswith("the user's own, kept here as work, with")


async def test_an_order_known_from_zinc_s_list_alone_is_not_said_to_be_of_an_account(
    home: Path, tmp_path: Path, wire: Wire, clocks: Clocks, clock: HandClock
) -> None:
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        await call(client, "place_v1_order", wish())
    journal = SecretStr(f"sqlite:///{tmp_path / 'new' / 'journal.db'}")  # the first one was lost
    (tmp_path / "new").mkdir()
    async with practising(home, wire, clocks, clock, journal=journal) as process, host(process, "auto") as client:
        again = await call(client, "place_v1_order", wish(retailer_account=None))
        assert again["new_order"] is False and "retailer_account" not in again
    assert len(wire.sent) == 1


async def other_password(home: Path) -> None:
    keep(home, ORIGIN, retailer_credentials={"email": planted.EMAIL, "password": "another one"})


async def other_payment(home: Path) -> None:
    keep(home, ORIGIN, **GIFT)


async def other_address(home: Path) -> None:
    keep(home, ORIGIN, billing_address={**planted.ADDRESS, "city": "Albany"})


async def no_account(home: Path) -> None:
    keep(home, ORIGIN).remove(secret_name("work"))


async def no_key(home: Path) -> None:
    (home / "digest.key").unlink()


async def other_key(home: Path) -> None:
    (home / "digest.key").write_bytes(b"k" * 32)


async def broken_key(home: Path) -> None:
    (home / "digest.key").write_bytes(b"k")


CHANGES = [other_password, other_payment, other_address, no_account, no_key, other_key, broken_key]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("change", CHANGES)
async def test_after_a_change_a_yes_sends_nothing(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock, write_config: Write, change: Any
) -> None:
    write_config(f'{ALLOWED}approval = "page"\n')
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        entry = await asked(process, client)
        await change(home)
        with pytest.raises(RefusedError, match=r"[Nn]othing was sent") as error:
            await decisions.decide(process, yes(entry))
        assert error.value.code == "account_not_configured"
        entry = await only_entry(process)
        assert (entry.state, entry.spent_cents) == ("refused", 0)
        assert change is not no_key or not (home / "digest.key").exists(), "a new key would prove nothing"
    assert wire.sent == []


async def test_a_yes_after_the_policy_took_the_name_away_sends_nothing(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock, write_config: Write
) -> None:
    write_config(f'{ALLOWED}approval = "page"\n')
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        entry = await asked(process, client)
        write_config('[policy]\napproval = "page"\n')
        with pytest.raises(RefusedError) as error:
            await decisions.decide(process, yes(entry))
        assert error.value.code == "not_allowed"
    assert wire.sent == []


# A repeat is the same to the letter, or it is none


async def test_a_repeat_sends_exactly_the_same_bytes(home: Path, wire: Wire, clocks: Clocks, clock: HandClock) -> None:
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        told = await refused(client, "place_v1_order", wish(client_notes=LOST))
        assert told["outcome"] == "unknown"
        keep(home, ORIGIN)  # the same account, kept anew
        told = await call(client, "place_v1_order", wish(client_notes=LOST))
        assert told["outcome"] == "accepted"
    assert len(wire.sent) == 3 and len(set(wire.sent)) == 1 and len(wire.sandbox.placed()) == 1


@pytest.mark.sampled(4)
@pytest.mark.parametrize("change", CHANGES)
async def test_after_a_change_nothing_is_sent_again_and_the_doubt_stands(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock, change: Any
) -> None:
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        await refused(client, "place_v1_order", wish(client_notes=LOST))
        await change(home)
        for _ in range(2):
            await client.call_tool("place_v1_order", wish(client_notes=LOST))
            entry = await only_entry(process)
            assert (entry.state, entry.reserved_cents) == ("unknown", 9000)
    assert len(wire.sent) == 2 and wire.sandbox.placed() == []


async def test_a_given_key_repeats_nothing_with_another_login(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock
) -> None:
    keep(home, ORIGIN)
    given = wish(client_notes=LOST, idempotency_key="a-key-that-the-caller-gave")
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        await refused(client, "place_v1_order", given)
        await other_password(home)
        told = await refused(client, "place_v1_order", given)
        assert told["outcome"] == "unknown"
        keep(home, ORIGIN)  # the first login again: now the same bytes may go out once more
        told = await call(client, "place_v1_order", given)
        assert told["outcome"] == "accepted"
    assert len(wire.sent) == 3 and len(set(wire.sent)) == 1 and len(wire.sandbox.placed()) == 1


async def test_an_order_that_landed_is_found_although_the_account_was_changed(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock
) -> None:
    keep(home, ORIGIN)
    lost = {"practice": f"fault=drop_after,drop_after&list_fault={','.join(['http_500_before'] * 6)}"}
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        await refused(client, "place_v1_order", wish(client_notes=lost))
        await other_payment(home)
        told: dict[str, Any] = {}
        for _ in range(8):
            clock.pass_seconds(60)
            told = said(await client.call_tool("get_order", {"order_id": (await only_entry(process)).key}))
            if told["outcome"] != "unknown":
                break
        assert told["outcome"] in ("accepted", "placed"), told
    assert len(wire.sandbox.placed()) == 1


async def test_servers_with_one_key_repeat_for_each_other_and_others_do_not(
    home: Path, tmp_path: Path, wire: Wire, clocks: Clocks, clock: HandClock
) -> None:
    journal = SecretStr(f"sqlite:///{tmp_path / 'journal' / 'journal.db'}")
    (tmp_path / "journal").mkdir()
    key = SecretStr("a key that all servers on this journal share")
    shared: dict[str, Any] = {"journal": journal, "digest_key": key}
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "zinc.toml").write_text(ALLOWED)
        keep(tmp_path / name, ORIGIN)
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock, **shared) as process, host(process, "auto") as client:
        await refused(client, "place_v1_order", wish(client_notes=LOST))
    clock.pass_seconds(30)
    alone: dict[str, Any] = {"journal": journal}
    async with practising(tmp_path / "third", wire, clocks, clock, **alone) as process, host(process, "auto") as client:
        await client.call_tool("place_v1_order", wish(client_notes=LOST))
        assert (await only_entry(process)).state == "unknown" and len(wire.sent) == 2
    clock.pass_seconds(30)
    second = tmp_path / "second"
    async with practising(second, wire, clocks, clock, **shared) as process, host(process, "auto") as client:
        await client.call_tool("place_v1_order", wish(client_notes=LOST))
        assert (await only_entry(process)).state == "accepted"
    assert len(wire.sent) == 3 and len(set(wire.sent)) == 1


async def test_a_key_that_could_be_guessed_is_not_used(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock
) -> None:
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock, digest_key=SecretStr("short")) as process:
        async with host(process, "auto") as client:
            told = await refused(client, "place_v1_order", wish())
    assert told["code"] == "account_not_configured" and "shorter than 32 characters" in told["summary"]
    assert 'short"' not in json.dumps(told) and wire.sent == []


async def test_the_key_in_the_home_is_made_once_and_only_the_owner_can_read_it(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock
) -> None:
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        await call(client, "place_v1_order", wish())
        first = (home / "digest.key").read_bytes()
        await call(client, "place_v1_order", wish(NUMBERS[1]))
    assert (home / "digest.key").read_bytes() == first and len(first) == 32
    assert (home / "digest.key").stat().st_mode & 0o777 == 0o600


async def test_words_of_zinc_about_an_own_account_are_not_kept_because_they_may_quote_it(
    home: Path, wire: Wire, clocks: Clocks, clock: HandClock
) -> None:
    keep(home, ORIGIN)
    async with practising(home, wire, clocks, clock) as process, host(process, "auto") as client:
        told = await refused(client, "place_v1_order", wish(practice_id("refused_account_login_failed")))
        assert told["facts"]["zinc_code"] == "account_login_failed"
        assert "zinc_message" not in told["facts"]
        managed = wish(practice_id("refused_account_login_failed"), retailer_account=None, max_price=8000)
        assert (await refused(client, "place_v1_order", managed))["facts"]["zinc_message"]

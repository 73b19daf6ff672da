"""The sandbox's agent rail asks with a real 402, settles a payment once, and gives each order its own key."""

import dataclasses
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import preloaded
import pytest
from sandbox.paying import STRIPE, TEMPO, Agent, endings
from sandbox.practising import Clock, customer, on_a_port, order, placed, read

from zinc_mcp.payments.headers import Challenge, Credential, Receipt
from zinc_mcp.payments.wallet import PracticeWallet
from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.sandbox.challenges import PAYEES, Payee
from zinc_mcp.sandbox.ledger import fingerprint

_RIVAL = """
import asyncio, sys
from pathlib import Path
from sandbox.paying import Agent
from zinc_mcp.sandbox import Sandbox

async def main():
    agent = Agent(Sandbox(Path(sys.argv[1])))
    print("ready", flush=True)
    authorization, content = sys.stdin.readline().split("\\t")
    for _ in range(5):
        answer = await agent.send(authorization, content.strip().encode())
        print(answer.status_code, answer.json()["id"], answer.headers["x-api-key"], flush=True)

asyncio.run(main())
"""


async def test_a_paid_order_comes_with_its_key_and_a_receipt() -> None:
    sandbox = Sandbox(clock=Clock())
    agent = Agent(sandbox)
    authorization = await agent.sign()
    assert await agent.fate() == {"ending": "open", "reference": None}
    answer = await agent.send(authorization)
    assert answer.status_code == 201 and "no-store" in answer.headers["cache-control"]
    receipt = Receipt.from_payment_receipt(answer.headers["payment-receipt"])
    (settled,) = sandbox.settlements()
    assert receipt is not None and receipt.status == "success" and receipt.reference == settled["reference"]
    assert (receipt.method, receipt.timestamp) == ("sandbox", "2026-11-18T11:06:40Z")
    assert (settled["amount_cents"], settled["order_id"]) == (5100, answer.json()["id"])
    assert await agent.fate() == {"ending": "settled", "reference": settled["reference"]}
    unpaid, paid = sandbox.attempts()
    assert (unpaid["outcome"], unpaid["credential"], paid["outcome"]) == ("challenged", None, "created")
    assert paid["credential"] == fingerprint(authorization) and {unpaid["rail"], paid["rail"]} == {"agent"}
    assert [(row["rail"], row["idempotency_key"]) for row in sandbox.placed()] == [("agent", "k")]


async def test_the_challenges_have_the_captured_shapes() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    agent = Agent(sandbox, query="")
    answer = await agent.send()
    lines = answer.headers.get_list("www-authenticate")
    form = r'Payment id="[\w-]{43}", realm="api\.zinc\.com", method="(tempo|stripe|sandbox)", intent="charge", '
    form += r'request="[\w-]+", expires="2026-11-1\dT\d\d:\d\d:\d\d\.000000Z", digest="sha-256=[\w+/]{43}=", '
    form += r'opaque="[\w-]+"'
    assert [re.fullmatch(form, line) is not None for line in lines] == [True] * 3
    assert (answer.json()["error"]["code"], answer.headers["cache-control"]) == ("payment_method_required", "no-store")
    asked = {each.method: each.charge_request.members for each in Challenge.from_www_authenticate(lines)}
    assert asked == {
        "tempo": {
            "amount": "51000000",
            "currency": "0x20C000000000000000000000b9537d11c60E8b50",
            "recipient": PAYEES[0].recipient,
            "methodDetails": {"chainId": 4217},
        },
        "stripe": {
            "amount": "5100",
            "currency": "usd",
            "recipient": PAYEES[1].recipient,
            "methodDetails": {"networkId": "profile_sandbox"},
        },
        "sandbox": {"amount": "5100", "currency": "usd", "recipient": "acct_practice"},
    }
    for methods in ({"tempo": TEMPO}, {"stripe": STRIPE}, PracticeWallet().terms):
        _, charge = await agent.checked(methods)
        assert (charge.amount_cents, charge.fee_cents, charge.expires_at) == (5100, 100, clock.now + 300)


async def test_an_independent_reader_reads_the_challenges_and_the_receipt() -> None:
    mpp = pytest.importorskip("mpp")
    sandbox = Sandbox()
    agent = Agent(sandbox, query="")
    answer = await agent.send()
    theirs = [mpp.Challenge.from_www_authenticate(line) for line in answer.headers.get_list("www-authenticate")]
    assert [each.method for each in theirs] == ["tempo", "stripe", "sandbox"]
    assert theirs[0].verify(sandbox.ledger.secret, "api.zinc.com")
    receipt = mpp.Receipt.from_payment_receipt((await agent.pay()).headers["payment-receipt"])
    assert receipt.reference == sandbox.settlements()[0]["reference"]


async def test_one_method_can_be_asked_for() -> None:
    sandbox = Sandbox()
    for method in ("tempo", "stripe", "sandbox"):
        assert [each.method for each in await Agent(sandbox, query=f"?method={method}").offers()] == [method]
    unknown = await Agent(sandbox, query="?method=x402").send()
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "unknown_payment_method")
    assert unknown.json()["error"]["details"] == {"available": ["tempo", "stripe", "sandbox"]}
    ignoring = Sandbox(dialect=Dialect(method_query="ignored"))
    for query in ("?method=stripe", "?method=x402", ""):
        assert len(await Agent(ignoring, query=query).offers()) == 3
    paid = Agent(sandbox)
    authorization = await paid.sign()
    # The query is part of what goes again.
    assert (await paid.send(authorization, url="/agent/orders?method=stripe")).status_code == 402
    assert (await paid.send(authorization)).status_code == 201


async def test_a_probe_without_a_body_is_asked_for_the_fee_and_buys_nothing() -> None:
    sandbox = Sandbox()
    probe = Agent(sandbox, query="")
    offered = {each.method: each for each in await probe.offers(content=b"")}
    assert set(offered) == {"tempo", "sandbox"} and offered["sandbox"].charge_request.amount == "100"
    assert offered["sandbox"].digest is None
    stripe = await probe.send(content=b"", url="/agent/orders?method=stripe")
    assert stripe.json()["error"]["details"] == {"available": ["tempo", "sandbox"]}
    wallet: Any = PracticeWallet()
    paid = await wallet.pay(offered["sandbox"], SimpleNamespace(header="Authorization", expires_at=0.0), now=0.0)
    authorization = paid.authorization.get_secret_value()
    assert (await probe.send(authorization)).status_code == 402
    assert (await probe.send(authorization, content=b"")).status_code == 422
    assert not sandbox.settlements() and not sandbox.placed()


async def test_a_wrong_order_is_refused_before_any_challenge_and_costs_nothing() -> None:
    sandbox = Sandbox()
    agent = Agent(sandbox)
    authorization = await agent.sign()
    rows: list[tuple[Any, int]] = [
        (b"{", 422),
        (b"[]", 422),
        ({"products": []}, 422),
        (order(max_price="5000"), 422),
        (order(payment={"mode": "wallet"}), 422),
        (order(shipping_address={**order()["shipping_address"], "postal_code": "1234"}), 400),
        (order("unsupported-retailer"), 400),
        (order("invalid-address"), 400),
        (order("url-unreachable"), 400),
        (order("success?fault=nonsense"), 400),
        (order("success?pay_fault=nonsense"), 400),
    ]
    for body, status in rows:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        for credential in ("", authorization):
            answer = await agent.send(credential, content)
            assert (answer.status_code, "www-authenticate" in answer.headers) == (status, False), body
    assert sandbox.settlements() == [] and (await agent.send(authorization)).status_code == 201


async def test_a_payment_that_fails_takes_nothing() -> None:
    sandbox = Sandbox()
    answer = await Agent(sandbox, "insufficient-funds").pay()
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "payment_failed")
    assert Challenge.from_www_authenticate(answer.headers.get_list("www-authenticate"))
    assert not sandbox.settlements() and not sandbox.placed()


@pytest.mark.parametrize("form", ["envelope", "problem"])
async def test_a_credential_that_does_not_hold_is_answered_with_fresh_challenges(form: str) -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock, dialect=Dialect.parse(f"payment_errors={form}"))
    agent = Agent(sandbox)
    authorization = await agent.sign()
    credential = Credential.from_authorization(authorization)

    def forged(**changes: Any) -> str:
        challenge = dataclasses.replace(credential.challenge, **changes)
        return Credential(challenge, credential.payload).to_authorization()

    stripe = next(each for each in await Agent(sandbox, query="").offers() if each.method == "stripe")
    rows = [
        ("Payment nonsense", agent.content, "malformed-credential"),
        (forged(id="guessed"), agent.content, "invalid-challenge"),
        (forged(realm="elsewhere"), agent.content, "invalid-challenge"),
        (
            Credential(credential.challenge, {"type": "practice"}).to_authorization(),
            agent.content,
            "verification-failed",
        ),
        (authorization, agent.content + b" ", "verification-failed"),
        # The sandbox settles no card.
        (Credential(stripe, {"spt": "spt_1"}).to_authorization(), agent.content, "verification-failed"),
    ]
    for value, content, problem in rows:
        answer = await agent.send(value, content, "/agent/orders")
        assert answer.status_code == 402 and answer.headers["www-authenticate"]
        said = answer.json()
        told = said["error"]["details"]["reason"] if form == "envelope" else said["type"].rpartition("/")[2]
        assert told == problem
        assert ("problem+json" in answer.headers["content-type"]) == (form == "problem")
    clock.now += 301
    late = await agent.send(authorization)
    assert late.status_code == 402 and "payment-expired" in late.text
    assert not sandbox.settlements() and not sandbox.placed()


async def test_an_unpaid_end_is_only_told_when_it_is_one() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    agent = Agent(sandbox)
    authorization = await agent.sign()
    asked_at = clock.now
    clock.now += 299
    assert (await agent.fate())["ending"] == "open"
    clock.now += 1
    assert await agent.fate() == {"ending": "unpaid", "reference": None}
    # As if it had been verified just before: what was told stays true.
    clock.now = asked_at
    assert (await agent.send(authorization)).status_code == 402 and sandbox.settlements() == []
    assert (await agent.get("/practice/settlements/nobody-s")).status_code == 404


async def test_the_key_of_an_order_sees_that_order_alone() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    ours = await Agent(sandbox, metadata={"for": "me"}).pay()
    theirs = await Agent(sandbox, idempotency_key="other", metadata={"for": "me"}).pay()
    agent, key, order_id = Agent(sandbox), ours.headers["x-api-key"], ours.json()["id"]
    assert key.startswith("zn_live_sandbox_") and key != theirs.headers["x-api-key"]
    assert (await agent.get(f"/orders/{order_id}", key)).json()["id"] == order_id
    assert (await agent.get(f"/orders/{order_id}/timeline", key)).status_code == 200
    assert (await agent.get(f"/orders/{theirs.json()['id']}", key)).status_code == 404
    listed = (await agent.get("/orders?metadata_key=for&metadata_value=me", key)).json()["orders"]
    assert [each["id"] for each in listed] == [order_id]
    assert (await agent.get("/orders?metadata_key=for&metadata_value=you", key)).json()["orders"] == []
    assert (await agent.get(f"/orders/{order_id}", f"{key}0")).status_code == 401
    async with customer(sandbox, key) as client:
        assert (await client.post("/orders", json=order())).status_code == 401
        assert (await client.post(f"/orders/{order_id}/cancel")).status_code == 401
        assert (await client.get("/wallet/me")).status_code == 401
    async with customer(sandbox) as client:
        mine = await placed(client, order(idempotency_key="k"))
        assert [each["id"] for each in (await client.get("/orders")).json()["orders"]] == [mine["id"]]
        assert (await client.get(f"/orders/{order_id}")).status_code == 404
    assert (await agent.get(f"/orders/{mine['id']}", key)).status_code == 404
    assert key not in json.dumps([sandbox.placed(), sandbox.attempts(), sandbox.settlements()])
    clock.now += 20
    assert (await agent.get(f"/orders/{order_id}", key)).json()["status"] == "order_placed"


async def test_money_that_was_not_needed_comes_back_later() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    for scenario in ("success", "out-of-stock", "never-decided", "cancelled-by-retailer", "no-price"):
        await Agent(sandbox, scenario, max_price=6000, idempotency_key=scenario).pay()
    assert {each["refunded_cents"] for each in sandbox.settlements()} == {0}
    clock.now += 60
    assert [each["refunded_cents"] for each in sandbox.settlements()] == [1100, 6100, 0, 6100, 1100]


# dialect, status of the same credential again, whether the answer names the order
REPEATS = [("same_order", 201), ("conflict_409", 409), ("forbidden_403_replayed", 403), ("payment_402_fresh", 402)]


@pytest.mark.parametrize(("dialect", "status"), REPEATS)
async def test_the_same_credential_again_is_never_settled_again(dialect: str, status: int) -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock, dialect=Dialect.parse(f"agent_repeat={dialect}"))
    agent = Agent(sandbox)
    authorization = await agent.sign()
    first = await agent.send(authorization)
    clock.now += 4000  # it had expired by now
    again = await agent.send(authorization)
    assert (first.status_code, again.status_code) == (201, status)
    assert ("www-authenticate" in again.headers) == (status == 402)
    if status == 201:
        for header in ("x-api-key", "payment-receipt"):
            assert again.headers[header] == first.headers[header]
        assert again.json()["id"] == first.json()["id"]
    # Neither another body nor another proof is told anything of it.
    assert (await agent.send(authorization, agent.content + b" ")).status_code == 402
    challenge = Credential.from_authorization(authorization).challenge
    forged = Credential(challenge, {"type": "practice", "proof": "A"}).to_authorization()
    assert (await agent.send(forged)).status_code == 402
    assert endings(sandbox) == ["ordered"] and len(sandbox.placed()) == 1


async def test_a_used_key_brings_no_second_order() -> None:
    for when, unpaid, paid, ends in (
        ("kept_409", 402, 409, ["ordered", "duplicate"]),
        ("unsettled_409", 402, 409, ["ordered"]),
        ("early_409", 409, 409, ["ordered"]),
    ):
        sandbox = Sandbox(dialect=Dialect.parse(f"agent_duplicate={when}"))
        first, second = Agent(sandbox), Agent(sandbox, max_price=6000)
        # Both are signed before either is paid: the second one meets a key that was free when it asked.
        one, two = await first.sign(), await second.sign()
        ours = await first.send(one)
        assert (await second.send()).status_code == unpaid
        refused = await second.send(two)
        assert (refused.status_code, refused.json()["error"]["code"]) == (paid, "already_exists")
        assert (await second.send(two)).status_code == 409
        assert endings(sandbox) == ends and len(sandbox.placed()) == 1
        assert {each["order_id"] for each in sandbox.settlements()} == {ours.json()["id"]}


async def test_a_409_may_name_the_order_and_carry_its_key() -> None:
    for identifier, names, carries in (("key", False, False), ("details_order_id", True, True), ("none", False, False)):
        sandbox = Sandbox(dialect=Dialect.parse(f"conflict_identifier={identifier}"))
        ours = await Agent(sandbox).pay()
        refused = await Agent(sandbox).pay()
        assert (ours.json()["id"] in refused.text, "x-api-key" in refused.headers) == (names, carries)


async def test_a_key_that_is_ignored_buys_twice() -> None:
    sandbox = Sandbox(dialect=Dialect(keys="ignored", agent_duplicate="early_409"))
    for _ in range(2):
        assert (await Agent(sandbox).pay()).status_code == 201
    assert endings(sandbox) == ["ordered", "ordered"] and len(sandbox.placed()) == 2


async def test_the_challenges_may_be_folded_into_one_line() -> None:
    sandbox = Sandbox(dialect=Dialect(challenges="folded"))
    (line,) = (await Agent(sandbox, query="").send()).headers.get_list("www-authenticate")
    assert line.count("Payment ") == 3 and "Bearer" in line
    for query in ("", "?method=sandbox"):
        assert (await Agent(sandbox, query=query, idempotency_key=query or "k").pay()).status_code == 201


async def test_a_body_may_be_named_in_two_ways_or_not_at_all() -> None:
    for spelling, starts in (("sdk", "sha-256="), ("draft", "sha-256=:"), ("absent", None)):
        sandbox = Sandbox(dialect=Dialect.parse(f"challenge_digest={spelling}"))
        (challenge,) = await Agent(sandbox).offers()
        assert challenge.digest is None if starts is None else (challenge.digest or "").startswith(starts)
        assert (await Agent(sandbox).pay()).status_code == 201
        changed = Agent(sandbox, idempotency_key="other")
        answer = await changed.send(await changed.sign(), changed.content + b" ")
        # Without a body digest nothing can be checked or undone (SDK).
        assert (answer.status_code, endings(sandbox)[1:]) == ((402, []) if starts else (500, ["no_order"]))
        assert len(sandbox.placed()) == 1


async def test_key_and_receipt_may_be_missing() -> None:
    missing = await Agent(Sandbox(dialect=Dialect(receipt="absent", order_key="absent"))).pay()
    assert missing.status_code == 201 and not {"x-api-key", "payment-receipt"} & set(missing.headers)
    sandbox = Sandbox(dialect=Dialect(receipt="odd"))
    odd = Receipt.from_payment_receipt((await Agent(sandbox).pay()).headers["payment-receipt"])
    assert odd is not None and (odd.status, odd.reference) == (None, sandbox.settlements()[0]["reference"])


def _rival(ledger: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*preloaded.command("python"), "-W", "error", "-c", _RIVAL, str(ledger)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )


@pytest.mark.thorough
async def test_processes_with_one_ledger_verify_each_other_and_settle_once(tmp_path: Path) -> None:
    ledger = tmp_path / "sandbox.db"
    sandbox = Sandbox(ledger)
    agent = Agent(sandbox)
    authorization = await agent.sign()
    rivals = [_rival(ledger) for _ in range(2)]
    heard: list[str] = []
    try:
        for rival in rivals:
            assert rival.stdout is not None and rival.stdout.readline() == "ready\n"
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write(f"{authorization}\t{agent.content.decode()}\n")
            rival.stdin.flush()
        for rival in rivals:
            heard += rival.communicate(timeout=30)[0].splitlines()
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
    assert len(heard) == 10 and len(set(heard)) == 1 and heard[0].startswith("201 ")
    assert endings(sandbox) == ["ordered"] and len(sandbox.placed()) == 1


def test_a_ledger_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    ledger = tmp_path / "sandbox.db"
    with closing(sqlite3.connect(ledger)) as earlier:
        earlier.executescript(
            """
            CREATE TABLE orders (
                seq INTEGER PRIMARY KEY, order_id TEXT UNIQUE NOT NULL, caller TEXT NOT NULL,
                idempotency_key TEXT NOT NULL, body TEXT NOT NULL, created_at REAL NOT NULL, scenario TEXT NOT NULL,
                cancelled_at REAL);
            CREATE TABLE attempts (
                seq INTEGER PRIMARY KEY, at REAL NOT NULL, caller TEXT NOT NULL, idempotency_key TEXT,
                body_sha256 TEXT NOT NULL, fault TEXT, outcome TEXT NOT NULL, order_id TEXT, busy_until REAL);
            """
        )
        earlier.execute(
            "INSERT INTO orders VALUES (1, '6d9c0f6e-6a6c-4f0e-9a3a-000000000001', ?, 'k', ?, 1.0, 'success', NULL)",
            (fingerprint("zn_test_ada"), json.dumps(order())),
        )
        earlier.execute("INSERT INTO attempts VALUES (1, 1.0, 'ada', 'k', '', NULL, 'created', NULL, NULL)")
        earlier.commit()

    async def practise() -> None:
        sandbox = Sandbox(ledger)
        async with customer(sandbox) as client:
            assert (await client.post("/orders", json=order(idempotency_key="k"))).status_code == 409
            assert (await read(client, "6d9c0f6e-6a6c-4f0e-9a3a-000000000001"))["status"] == "order_placed"
        assert (await Agent(sandbox).pay()).status_code == 201
        assert [row["rail"] for row in Sandbox(ledger).placed()] == ["account", "agent"]
        assert {row["rail"] for row in sandbox.attempts()} == {"account", "agent"}

    anyio.run(practise)


def _card_payee(sandbox: Callable[[], Sandbox], charged: list[str]) -> Callable[[str, bytes], Any]:
    from mpp.methods.stripe import server
    from mpp.server.mpp import Mpp

    class PaymentIntents:
        def create(self, body: dict[str, Any], options: dict[str, Any]) -> SimpleNamespace:
            charged.append(f"{body['shared_payment_granted_token']} {body['amount']}")
            status = "succeeded" if body["shared_payment_granted_token"] != "spt_empty" else "requires_action"
            return SimpleNamespace(id="pi_1", status=status, last_response=None)

    client = SimpleNamespace(payment_intents=PaymentIntents())
    charge = server.charge(client=client, network_id="profile_sandbox", currency="usd", payment_method_types=["card"])

    async def settle(authorization: str, body: bytes) -> str:
        payee: Any = Mpp(methods=[charge], realm="api.zinc.com", secret_key=sandbox().ledger.secret)
        receipt = await payee.broadcast_credential(authorization, body=body)
        return str(receipt.reference)

    return settle


async def test_an_independent_payee_settles_payments_that_are_not_practice() -> None:
    pytest.importorskip("mpp")
    charged: list[str] = []
    # pympp 0.16 wants a list that Zinc was seen to leave out.
    details = {"networkId": "profile_sandbox", "paymentMethodTypes": ["card"]}
    payees = [Payee("stripe", "usd", "acct_1", details=details)]
    sandbox = Sandbox(settle=_card_payee(lambda: sandbox, charged), payees=payees)
    agent = Agent(sandbox, query="?method=stripe")
    (challenge,) = await agent.offers()
    empty = Credential(challenge, {"spt": "spt_empty"}).to_authorization()
    assert (await agent.send(empty)).status_code == 402 and sandbox.settlements() == []
    (challenge,) = await agent.offers()
    authorization = Credential(challenge, {"spt": "spt_1"}).to_authorization()
    answer = await agent.send(authorization)
    assert (answer.status_code, (await agent.send(authorization)).status_code) == (201, 201)
    receipt = Receipt.from_payment_receipt(answer.headers["payment-receipt"])
    assert receipt is not None and (receipt.method, receipt.reference) == ("stripe", "pi_1")
    assert charged == ["spt_empty 5100", "spt_1 5100"]
    assert [(each["method"], each["amount_cents"]) for each in sandbox.settlements()] == [("stripe", 5100)]
    other = Credential(challenge, {"spt": "spt_2"}).to_authorization()
    assert (await agent.send(other)).status_code == 402 and len(charged) == 2


async def test_a_payment_that_was_refused_elsewhere_can_be_tried_again_until_it_expires() -> None:
    answers: list[Any] = [ValueError("no money"), "pi_1"]

    async def settle(authorization: str, body: bytes) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    clock = Clock()
    sandbox = Sandbox(settle=settle, clock=clock)
    agent, late = Agent(sandbox, query="?method=stripe"), Agent(sandbox, query="?method=stripe")
    (challenge,), (expiring,) = await agent.offers(), await late.offers()
    authorization = Credential(challenge, {"spt": "spt_1"}).to_authorization()
    assert [(await agent.send(authorization)).status_code for _ in range(2)] == [402, 201]
    clock.now += 301
    refused = await late.send(Credential(expiring, {"spt": "spt_1"}).to_authorization())
    assert refused.status_code == 402 and "payment-expired" in refused.text and answers == []


async def test_a_used_key_is_noticed_before_or_after_a_settlement_elsewhere() -> None:
    for when, settled in (("kept_409", 2), ("unsettled_409", 1), ("early_409", 1)):
        taken: list[str] = []

        async def settle(authorization: str, body: bytes, taken: list[str] = taken) -> str:
            taken.append(authorization)
            return f"pi_{len(taken)}"

        sandbox = Sandbox(settle=settle, dialect=Dialect.parse(f"agent_duplicate={when}"))
        agent = Agent(sandbox, query="?method=stripe")
        (one,), (two,) = await agent.offers(), await agent.offers()
        credentials = [Credential(each, {"spt": "spt_1"}).to_authorization() for each in (one, two)]
        assert [(await agent.send(each)).status_code for each in credentials] == [201, 409]
        assert len(taken) == len(sandbox.settlements()) == settled and len(sandbox.placed()) == 1


async def test_a_payment_that_is_being_settled_elsewhere_is_not_settled_a_second_time() -> None:
    entered, leave = anyio.Event(), anyio.Event()
    calls: list[str] = []

    async def settle(authorization: str, body: bytes) -> str:
        calls.append(authorization)
        entered.set()
        await leave.wait()
        return "pi_slow"

    clock = Clock()
    sandbox = Sandbox(settle=settle, clock=clock)
    agent = Agent(sandbox, query="?method=stripe")
    (challenge,) = await agent.offers()
    agent.challenge_id = challenge.id
    authorization = Credential(challenge, {"spt": "spt_1"}).to_authorization()
    statuses: list[int] = []

    async def first() -> None:
        async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://api.zinc.com") as client:
            headers = {"authorization": authorization}
            statuses.append((await client.post(agent.url, content=agent.content, headers=headers)).status_code)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await entered.wait()
        assert (await agent.send(authorization)).status_code == 409
        clock.now += 301
        assert (await agent.fate())["ending"] == "open"
        leave.set()
    assert statuses == [201] and len(calls) == 1 and endings(sandbox) == ["ordered"]


async def test_on_a_port_the_lines_arrive_one_by_one() -> None:
    sandbox = Sandbox()
    async with on_a_port(sandbox) as client:
        answer = await client.post("/agent/orders", content=Agent(sandbox).content, headers={"Authorization": ""})
        assert len(answer.headers.get_list("www-authenticate")) == 3

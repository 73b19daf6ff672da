"""Reporting a problem to Zinc's support, through the tool, against the sandbox."""

from collections.abc import Callable
from pathlib import Path

import pytest
from aftercare.after import ADDRESS_MESSAGE, SUCCESS, LiveSandbox, created, delivered, problem
from conftest import HandClock, OpenProcess
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from server.as_a_host import both_eras, call, host, refused, said, usually_one_era

from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.server.mcp.server import build_server

WriteConfig = Callable[[str], Path]
ACCEPTED = ["drop_after", "http_500_after", "html_200", "truncated", "redirect_after"]
LOST = ["drop_before", "http_500_before", "html_502", "redirect_307"]


@pytest.fixture
def sandbox(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


@pytest.fixture
def zinc(sandbox: Sandbox) -> LiveSandbox:
    return LiveSandbox(sandbox)


@usually_one_era
async def test_a_case_is_opened_answered_continued_and_closed(
    open_test_process: OpenProcess, sandbox: Sandbox, clock: HandClock, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        told = await call(client, "report_problem", problem(order_id))
        assert (told["outcome"], told["new_request"], told["reason"]) == ("filed", True, "not_received")
        clock.pass_seconds(3)
        known = await call(client, "get_order", {"order_id": order_id})
        [case] = known["cases"]
        assert (case["id"], case["status"], case["key"]) == (told["case_id"], "waiting_on_customer", told["key"])
        assert [message.get("you_said") for message in case["messages"]] == ["It never came.", None]
        assert case["messages"][1]["zinc_says"] == "We are looking into it."
        more = await call(client, "report_problem", problem(order_id, message="Not at the neighbours' either."))
        assert more["case_id"] == told["case_id"]
        assert more["summary"].endswith("Zinc's support has the message.")
        closed = await call(client, "report_problem", {"order_id": order_id, "close": True})
        assert closed["status"] == "closed"
        over = await refused(client, "report_problem", {"order_id": order_id, "close": True})
        assert "No case about this order is open" in over["summary"]
        again = await call(client, "report_problem", problem(order_id, message="It is still not here."))
    assert again["case_id"] != told["case_id"]
    assert [each["path"].rpartition("/")[2] for each in created(sandbox)] == ["cases", "messages", "close", "cases"]


@usually_one_era
async def test_the_same_report_and_the_same_message_are_sent_once(
    open_test_process: OpenProcess, sandbox: Sandbox, clock: HandClock, mode: str
) -> None:
    sandbox.dialect = Dialect(after_sale_listing="lags")
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        first = await call(client, "report_problem", problem(order_id))
        said = await call(client, "report_problem", problem(order_id))
        twice = await call(client, "report_problem", problem(order_id))
        more = await call(client, "report_problem", problem(order_id, message="Something new."))
        and_again = await call(client, "report_problem", problem(order_id, message="Something new.", reason="late"))
    assert (said["key"], twice["key"], twice["new_request"]) == (first["key"], first["key"], False)
    assert (more["case_id"], more["new_request"]) == (first["case_id"], True)
    assert (and_again["key"], and_again["new_request"]) == (more["key"], False)
    assert len(created(sandbox)) == 2


@usually_one_era
async def test_a_case_that_its_first_call_has_opened_gets_no_second_message(
    open_test_process: OpenProcess, sandbox: Sandbox, clock: HandClock, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        first = await call(client, "report_problem", problem(order_id))
        again = await call(client, "report_problem", problem(order_id))
    assert (again["key"], again["new_request"]) == (first["key"], False)
    assert len(created(sandbox)) == 1


@pytest.mark.sampled(2)
@pytest.mark.parametrize("case_list", ["threads", "summaries"])
@pytest.mark.parametrize("fault", ACCEPTED)
async def test_a_report_whose_answer_is_lost_is_found_and_filed_once(
    open_test_process: OpenProcess, sandbox: Sandbox, clock: HandClock, fault: str, case_list: str
) -> None:
    sandbox.dialect = Dialect.parse(f"case_list={case_list}")
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?case_fault={fault}")
        told = await call(client, "report_problem", problem(order_id))
    assert told["outcome"] == "filed"
    assert len(created(sandbox)) == 1


@pytest.mark.sampled(3)
@pytest.mark.parametrize("fault", ACCEPTED)
async def test_a_message_whose_answer_is_lost_is_found_in_the_thread(
    open_test_process: OpenProcess, sandbox: Sandbox, clock: HandClock, fault: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?case_fault=none,{fault},{fault}")
        await call(client, "report_problem", problem(order_id))
        more = await call(client, "report_problem", problem(order_id, message="Two  words\nmore"))
        assert more["outcome"] == "filed"
        closed = await call(client, "report_problem", {"order_id": order_id, "close": True})
    assert closed["status"] == "closed"
    assert len(created(sandbox)) == 3


@pytest.mark.sampled(2)
@pytest.mark.parametrize("fault", LOST)
async def test_a_report_that_zinc_never_got_stays_in_doubt_and_no_second_case_is_opened(
    open_test_process: OpenProcess, sandbox: Sandbox, clock: HandClock, fault: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?case_fault={fault}")
        told = await refused(client, "report_problem", problem(order_id))
        assert (told["outcome"], told["code"]) == ("unknown", "outcome_unknown")
        clock.pass_seconds(200_000)
        again = await refused(client, "report_problem", problem(order_id))
        assert again["key"] == told["key"]
        other = await refused(client, "report_problem", problem(order_id, message="Other words", reason="late"))
        assert "is in doubt: Zinc may have it" in other["summary"]
        await process.journal.run(lambda journal: journal.resolve(told["key"], order_id=None))
        filed = await call(client, "report_problem", problem(order_id))
    assert filed["new_request"] is True
    assert len(created(sandbox)) == 1


async def test_a_closing_that_zinc_never_got_can_be_asked_for_again(
    open_test_process: OpenProcess, sandbox: Sandbox, clock: HandClock
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?case_fault=none,drop_before&case=silent")
        await call(client, "report_problem", problem(order_id))
        lost = await refused(client, "report_problem", {"order_id": order_id, "close": True})
        assert lost["outcome"] == "unknown"
        clock.pass_seconds(60)
        closed = await call(client, "report_problem", {"order_id": order_id, "close": True})
    assert (closed["new_request"], closed["status"]) == (True, "closed")


async def test_zincs_no_to_a_case_is_told(open_test_process: OpenProcess, sandbox: Sandbox, clock: HandClock) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?case=refused")
        said = await refused(client, "report_problem", problem(order_id))
    assert (said["code"], said["outcome"], said["facts"]["zinc_code"]) == (
        "change_rejected",
        "rejected",
        "case_not_allowed",
    )
    assert created(sandbox) == []


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize("approval", ["none", "host", "auto"])
async def test_a_change_of_address_asks_a_person_in_every_mode_of_approval(
    open_test_process: OpenProcess,
    sandbox: Sandbox,
    clock: HandClock,
    write_config: WriteConfig,
    mode: str,
    approval: str,
) -> None:
    asked: list[str] = []

    async def decide(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": params.message.startswith("Buy")})

    write_config(f'[policy]\napproval = "{approval}"\n')
    async with open_test_process(api_key="zn_live_planted-secret") as process:
        async with Client(build_server(process), mode=mode, elicitation_callback=decide) as client:
            order_id = await delivered(client, clock)
            asked.clear()
            told = await call(
                client, "report_problem", problem(order_id, reason="address_change", message=ADDRESS_MESSAGE)
            )
            assert told["outcome"] == "declined"
            [question] = asked
            usual = await call(client, "report_problem", problem(order_id))
            assert usual["outcome"] == ("declined" if approval == "auto" else "filed")
            assert len(asked) == (2 if approval == "auto" else 1)
    assert question.startswith("Report a problem with the order from zinc.com to Zinc's support?")
    assert f"Message: “{ADDRESS_MESSAGE}”" in question
    assert "Reason: “address change”" in question
    assert "This asks to send the parcel to another address." in question
    assert len(created(sandbox)) == (0 if approval == "auto" else 1)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"message": None}, "message"),
        ({"close": True}, "message"),
        ({"message": "hidden\u202etext"}, "message"),
        ({"message": "x" * 2001}, "message"),
        ({"reason": "return"}, "reason"),
        ({"order_id": "two words"}, "order_id"),
        ({"massage": "x"}, "massage"),
    ],
)
async def test_wrong_arguments_name_the_field(
    open_test_process: OpenProcess, clock: HandClock, wrong: dict[str, object], field: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        said = await refused(client, "report_problem", {**problem("order-1"), **wrong})
    assert said["code"] == "invalid_arguments"
    assert field in [each["field"] for each in said["problems"]]


@usually_one_era
async def test_a_message_to_an_open_case_needs_no_reason(
    open_test_process: OpenProcess, sandbox: Sandbox, clock: HandClock, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        more = {"order_id": order_id, "message": "The neighbours do not have it."}
        none_open = await refused(client, "report_problem", more)
        await call(client, "report_problem", problem(order_id, reason="late"))
        told = await call(client, "report_problem", more)
        await call(client, "report_problem", {"order_id": order_id, "close": True})
        closed = await refused(client, "report_problem", {**more, "message": "Once more."})
    for each in (none_open, closed):
        assert (each["code"], each["problems"][0]["field"]) == ("invalid_arguments", "reason")
        assert "no case about this order is open" in each["problems"][0]["reason"]
    assert (told["outcome"], told["new_request"], told["reason"]) == ("filed", True, "late")
    assert len(created(sandbox)) == 3


@pytest.mark.sampled(2)
@pytest.mark.parametrize("doubt", ["unknown", "waiting"])
@pytest.mark.parametrize("then", [{"close": True}, {"message": "more"}, {"message": "more", "reason": "billing"}])
async def test_while_nobody_knows_whether_a_case_is_open_it_is_not_said_that_none_is(
    open_test_process: OpenProcess,
    sandbox: Sandbox,
    clock: HandClock,
    write_config: WriteConfig,
    doubt: str,
    then: dict[str, object],
) -> None:
    url = SUCCESS if doubt == "waiting" else f"{SUCCESS}?case_fault=reset_before"
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, url)
        if doubt == "waiting":
            write_config('[policy]\napproval = "page"\n')
        first = said(await client.call_tool("report_problem", problem(order_id)))
        assert first["outcome"] == doubt
        told = await refused(client, "report_problem", {"order_id": order_id, **then})
    assert ("and a case may be open" if doubt == "unknown" else "no case is open yet") in told["summary"]
    assert "No case" not in told["summary"]
    assert told["key"] == first["key"]
    assert created(sandbox) == []

"""The free check whether Zinc can order at a shop and ship to a country. It runs before a person is asked."""

from contextlib import suppress

import anyio

from zinc_mcp.errors import RefusedError, UnreadableAnswerError, ZincMcpError
from zinc_mcp.process import Process
from zinc_mcp.zinc.failures import meaning_of
from zinc_mcp.zinc.find.retailers import ShopCheck, check_shop
from zinc_mcp.zinc.wish import Wish

CHECK_SECONDS = 5.0
BEFORE_ASKING_SECONDS = 2.0
"""The longest time for the check before a question: a person and a host wait for it."""


async def check(process: Process, url: str, country: str) -> ShopCheck:
    """Ask whether Zinc can order at an address and ship to a country (alpha-2).

    Raises:
        ZincMcpError: Zinc gave no usable answer.
    """
    try:
        with anyio.fail_after(CHECK_SECONDS):
            return await check_shop(process.client, url, country)
    except TimeoutError as error:
        raise UnreadableAnswerError("Zinc did not answer in time.") from error


async def refuse_before_asking(process: Process, order: Wish) -> None:
    """Refuse an order that Zinc says it would refuse. Without an answer to the check, nothing is refused.

    All products come from one shop, and the check is about the shop, so the first one stands for all.

    Raises:
        RefusedError: `cannot_be_ordered`.
    """
    found: ShopCheck | None = None
    with suppress(ZincMcpError), anyio.move_on_after(BEFORE_ASKING_SECONDS):
        found = await check_shop(process.client, order.pages[0].url, order.ship_to.country)
    has_account, country = order.chooses_account, order.ship_to.country
    code = None if found is None else found.refusal(country, has_account=has_account)
    if code is None:
        return
    sentence, next_step = meaning_of(code)
    raise RefusedError(
        f"{sentence} Zinc said so before anybody was asked, so nothing was sent and it cost nothing.",
        next_step,
        code="cannot_be_ordered",
        facts={"zinc_code": code},
    )

"""Titles and prices of products for a question. With a live key each look-up costs money, so it is spending as well.

A look-up that costs is an entry of its own kind. It is reserved under the caller's limits and under `max_lookups_day`,
settled by Zinc's answer, and used again for some minutes by every process on the journal. If no look-up may be paid
for, or Zinc does not know the product, the question has no title.
"""

import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio

from zinc_mcp.errors import OrderRejectedError, ZincMcpError, ZincUnreachableError
from zinc_mcp.journal.clocks import FREE
from zinc_mcp.journal.entry import Draft, Entry, StaleEntryError, State
from zinc_mcp.owner.policy import Policy, limits_of
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail
from zinc_mcp.zinc.orders import OrderCreate, canonical
from zinc_mcp.zinc.prices import LOOK_UP_CENTS, Product
from zinc_mcp.zinc.product_urls.reading import read_product_url, shop_product

LOOK_UP_SECONDS = 5.0
REMEMBERED_SECONDS = 600.0
MOST_PRODUCTS = 10

_Named = tuple[str, str]
"""Zinc's names of a retailer and of a product."""
_MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class LookedUp:
    """The products of an order, line by line; None if nothing is known."""

    products: list[Product | None]
    cost_cents: int
    """The cost of the look-ups that this call made."""


async def look_up(process: Process, caller: str, order: OrderCreate, rail: Rail | None, policy: Policy) -> LookedUp:
    """Ask Zinc for titles and prices, all at once and for at most `LOOK_UP_SECONDS`. Never fails."""
    if rail is None:
        return LookedUp([None] * len(order.products), 0)
    named = [shop_product(read_product_url(line.url)) for line in order.products[:MOST_PRODUCTS]]
    wanted = list(dict.fromkeys(each for each in named if each is not None))
    found: Mapping[_Named, Product] = {}
    cost_cents = 0
    if rail.paying is not None or rail.mode != "live":
        found = await _for_nothing(rail, wanted)
    elif wanted:
        try:
            found, cost_cents = await _for_money(process, caller, rail, policy, wanted)
        except ZincMcpError:
            pass  # of the journal, which fails again when the question is written down
    products: list[Product | None] = [None if each is None else found.get(each) for each in named]
    return LookedUp([*products, *[None] * (len(order.products) - len(products))], cost_cents)


async def _for_nothing(rail: Rail, wanted: Sequence[_Named]) -> Mapping[_Named, Product]:
    found: dict[_Named, Product] = {}

    async def look(named: _Named) -> None:
        try:
            found[named] = await rail.product(*named)
        except ZincMcpError:
            pass

    await _all_at_once([partial(look, named) for named in wanted])
    return found


async def _for_money(
    process: Process, caller: str, rail: Rail, policy: Policy, wanted: Sequence[_Named]
) -> tuple[Mapping[_Named, Product], int]:
    drafts = [_draft(caller, rail, named) for named in wanted]
    limits = replace(limits_of(policy), orders_day=None, unproved_cents=None)  # a look-up is no order
    opened = await process.journal.run(
        lambda journal: journal.open_look_ups(
            drafts,
            limits,
            owner=process.owner,
            lease_seconds=LOOK_UP_SECONDS,
            budget_cents=policy.max_lookups_day,
            remembered_seconds=REMEMBERED_SECONDS,
        )
    )
    found: dict[_Named, Product] = {}
    paid: set[_Named] = set()

    async def ask(named: _Named, entry: Entry) -> None:
        found[named] = await _asked(process, rail, named, entry)
        paid.add(named)

    async def remember(named: _Named, entry: Entry) -> None:
        while entry.state == "sending" and process.leases.is_held(entry):
            await anyio.sleep(process.clocks.peek)
            entry = await process.journal.read(entry.id)
        if entry.facts.get("product") is not None:
            found[named] = Product.model_validate(entry.facts["product"])

    await _all_at_once(
        [
            partial(_quietly, ask if is_new else remember, named, entry)
            for named, (entry, is_new) in zip(wanted, opened, strict=True)
            if entry is not None
        ]
    )
    return found, LOOK_UP_CENTS * len(paid)


async def _asked(process: Process, rail: Rail, named: _Named, entry: Entry) -> Product:
    """Ask Zinc, and settle what it cost.

    Raises:
        ZincMcpError: Zinc gave no answer.
    """
    state: State = "failed"
    what, cost, known = "no answer: it may have cost", LOOK_UP_CENTS, dict[str, Any]()
    try:
        product = await rail.product(*named)
        state, what, known = "placed", "looked up", {"product": _bounded(product)}
        return product
    except ZincUnreachableError:
        state, what, cost = "refused", "no connection: nothing was asked", 0
        raise
    except OrderRejectedError as error:  # only a successful call costs (SDK 2026.9.18)
        state, what, cost = "rejected", f"Zinc says no: {error.zinc_code}", 0
        raise
    finally:
        with anyio.CancelScope(shield=True):
            changes: dict[str, Any] = {
                "spent_cents": cost,
                "counts_cents": cost,
                "facts": {**entry.facts, **known},
                **FREE,
            }
            await process.journal.move(entry, state, what, **changes)


async def _quietly(job: Callable[[_Named, Entry], Awaitable[None]], named: _Named, entry: Entry) -> None:
    try:
        await job(named, entry)
    except (ZincMcpError, StaleEntryError):
        pass  # it has no title


async def _all_at_once(jobs: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    with anyio.move_on_after(LOOK_UP_SECONDS):
        async with anyio.create_task_group() as tasks:
            for job in jobs:
                tasks.start_soon(job)


def _bounded(product: Product) -> Mapping[str, Any]:
    parts = product.model_dump(mode="json", exclude_none=True)
    return {name: part[:_MAX_TEXT] if isinstance(part, str) else part for name, part in parts.items()}


def _draft(caller: str, rail: Rail, named: _Named) -> Draft:
    retailer, product_id = named
    asked = canonical(["look_up", rail.origin, retailer, product_id]).encode()
    digest = hashlib.sha256(asked).hexdigest()[:40]
    return Draft(
        caller=caller,
        mode=rail.mode,
        origin=rail.origin,
        account=rail.account,
        rail=rail.name,
        twin=digest,
        body_digest=digest,
        given_key=None,
        to_bytes=lambda key: asked,
        ceiling_cents=LOOK_UP_CENTS,
        fee_cents=0,
        facts={"retailer": retailer, "product_id": product_id},
        kind="look_up",
    )

"""Returns and cases of v1's orders, in the words of v2's. The client token never leaves this object."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from pydantic import SecretStr, ValidationError

from zinc_mcp.errors import RefusedError, UnreadableAnswerError, ZincMcpError
from zinc_mcp.network import Leaving, NetworkAnswer
from zinc_mcp.rails.after_sale import ReturnAsked, SentOrder
from zinc_mcp.zinc.aftercare.cases import Case
from zinc_mcp.zinc.aftercare.changes import Change, unproved
from zinc_mcp.zinc.client import members
from zinc_mcp.zinc.credits import ReturnSummary
from zinc_mcp.zinc.responses import Order, OrderItem
from zinc_mcp.zinc.v1.aftercare import cases as v1_cases
from zinc_mcp.zinc.v1.aftercare import returns as v1_returns
from zinc_mcp.zinc.v1.aftercare.cancellations import CHANGED_AT
from zinc_mcp.zinc.v1.client import V1Client, changed, changed_id
from zinc_mcp.zinc.v1.order import PROFILE_FIELD
from zinc_mcp.zinc.v1.products import V1Retailer, page_of

_AT_THE_RETAILER = "Tell the user to do this with the retailer."
_REPORT = "report_problem asks Zinc's support about it, for an order of a managed account (ZMA)."


@dataclass(frozen=True, slots=True)
class V1AfterSale:
    """One client token at one origin."""

    _client: V1Client = field(repr=False)
    _token: SecretStr = field(repr=False)

    def return_change(self, asked: ReturnAsked) -> Change:
        """Return the request that asks for a return.

        Raises:
            RefusedError: v1 takes nothing back for this retailer, or the retailer's word for the reason is not known.
        """
        if asked.retailer not in CHANGED_AT:
            raise RefusedError(
                f"Zinc's v1 takes back orders of {' and '.join(sorted(CHANGED_AT))} alone. Nothing was sent.",
                f"{_AT_THE_RETAILER} {_REPORT}",
            )
        known = v1_returns.REASON_CODES[asked.retailer]
        code = known.get(asked.reason)
        if code is None:
            raise RefusedError(
                f"Zinc's v1 passes the reason on in {asked.retailer}'s own words, and those for {asked.reason} are not "
                "known here. Nothing was sent.",
                f"Use a reason that is known, if one is true: {', '.join(sorted(known))}. If none is: {_REPORT}",
            )
        said = [asked.reason.replace("_", " "), *([asked.notes] if asked.notes else [])]
        return v1_returns.return_change(asked.order_id, asked.items, code, ": ".join(said))

    def case_change(self, order_id: str, reason: str, message: str, sent: bytes | None) -> Change:
        """Return the request that opens a case.

        Raises:
            RefusedError: an account of the user's own placed the order.
        """
        if PROFILE_FIELD in _read(sent):
            raise RefusedError(
                "An account of the user's own placed this order, and Zinc's support takes reports of v1 only about "
                "orders of managed accounts (ZMA). Nothing was sent.",
                _AT_THE_RETAILER,
            )
        return v1_cases.case_change(order_id, reason, message)

    def message_change(self, case_id: str, message: str) -> Change:
        """Return the request that adds a message to a case."""
        return v1_cases.message_change(v1_cases.order_of_case(case_id), message)

    def closing_change(self, case_id: str) -> Change:
        """Refuse: v1 has no request for it.

        Raises:
            RefusedError: always.
        """
        raise RefusedError(
            "Zinc's v1 closes no case on request: Zinc closes it. Nothing was sent.",
            "Tell Zinc's support with report_problem that nothing more is to be done, if the user wants that.",
        )

    def wanted(self, change: Change, order_id: str) -> Mapping[str, Any]:
        """Return what a request asks for, by the names of v2.

        Raises:
            ValueError: it is no request that this object has made.
        """
        sent = change.sent
        if "message" in sent:
            return {"body": sent["message"], **({"reason": sent["reason"]} if "reason" in sent else {})}
        items = [{"order_item_id": row["product_id"], "quantity": row["quantity"]} for row in sent["products"]]
        return {"order_id": order_id, "items": items, "reason": sent["reason_code"], "notes": sent["explanation"]}

    async def send(self, change: Change, leaving: Leaving) -> NetworkAnswer:
        """Send a change once; see `V1Client.change`."""
        return await self._client.change(change.path, change.content.encode(), self._token, leaving)

    def filed_return(self, answer: NetworkAnswer, wanted: Mapping[str, Any]) -> ReturnSummary:
        """Return the return that Zinc has taken: the answer gives its id, and nothing else."""
        return ReturnSummary.read({"id": changed_id(answer), "items": wanted["items"], "reason": wanted["reason"]})

    def answered_case(self, answer: NetworkAnswer, order_id: str, case_id: str | None, reason: str | None) -> Case:
        """Return the case in the answer to a change of it: the newest one of the history.

        Raises:
            ChangeRejectedError: Zinc answered no.
            ChangeOutcomeUnknownError: the answer shows no case, or another one.
        """
        try:
            shown = v1_cases.cases_in(changed(answer), order_id)
        except UnreadableAnswerError:
            raise unproved("the answer could not be read", "unreadable") from None
        if not shown or case_id not in (None, shown[-1].id) or reason not in (None, shown[-1].reason):
            raise unproved("Zinc answered with another case", "another_case")
        return shown[-1]

    async def returns(self, order_id: str) -> Sequence[ReturnSummary]:
        """Return nothing: v1 lists no returns."""
        return ()

    async def cases(self, order_id: str) -> Sequence[Case]:
        """Return the cases of one order; see `v1.cases.read_cases`."""
        return await v1_cases.read_cases(self._client, order_id, self._token)

    async def case(self, case_id: str) -> Case:
        """Read one case with its messages."""
        found = [case for case in await self.cases(v1_cases.order_of_case(case_id)) if case.id == case_id]
        if not found:
            raise UnreadableAnswerError("Zinc does not show the case just now.")
        return found[0]

    async def completed(self, order: Order, sent: SentOrder) -> Order:
        """Return an order with the facts that v1 does not show with it: its products as sent, its returns, its case."""
        body = _read(sent.content)
        more: dict[str, Any] = {}
        if not order.items and (items := _items(body, "ordered" if order.stage == "placed" else "pending")):
            more["items"] = items
        if sent.returns:
            newest = sent.returns[: v1_returns.MAX_READ]
            read = [await self._return(each, is_managed=bool(body.get("addax"))) for each in newest]
            more["returns"] = [*read, *sent.returns[v1_returns.MAX_READ :]]
        if order.stage == "placed" and PROFILE_FIELD not in body:
            with suppress(ZincMcpError):
                more["cases"] = list(await self.cases(order.id))
        return order.model_copy(update=more) if more else order

    async def _return(self, known: ReturnSummary, *, is_managed: bool) -> ReturnSummary:
        try:
            found = await v1_returns.read_return(self._client, known, self._token)
        except ZincMcpError:
            return known
        # Words about an order of the user's own account may quote its login.
        return found if is_managed else found.model_copy(update={"resolution_notes": None})


def _read(content: bytes | None) -> Mapping[str, Any]:
    try:
        return members(json.loads(content or b"{}"))
    except (ValueError, RecursionError):
        return {}


def _items(body: Mapping[str, Any], status: str) -> list[OrderItem]:
    """Return the products of an order as it was sent. The same product in two lines is one."""
    retailer: object = body.get("retailer")
    if retailer not in get_args(V1Retailer):
        return []
    wanted: Counter[str] = Counter()
    for row in cast(list[object], body.get("products") or []):
        product = members(row)
        wanted[str(product.get("product_id"))] += int(product.get("quantity", 1))
    try:
        return [
            OrderItem.read(
                {
                    "id": number,
                    "url": page_of(cast(V1Retailer, retailer), number),
                    "quantity": quantity,
                    "status": status,
                }
            )
            for number, quantity in wanted.items()
        ]
    except ValidationError:
        return []

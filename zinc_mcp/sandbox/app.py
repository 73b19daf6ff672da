"""The endpoints of the sandbox (Orders, Wallet and Health of the SDK 2026.10.16's OpenAPI)."""

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from zinc_mcp.sandbox.agent_orders import AgentPlacing, Settle
from zinc_mcp.sandbox.answers import AnsweredError, Answers, as_json
from zinc_mcp.sandbox.campaign.dialect import Dialect
from zinc_mcp.sandbox.campaign.faults import Fault, asks, fault_for, spoilt
from zinc_mcp.sandbox.campaign.lies import Offers
from zinc_mcp.sandbox.challenges import ORDER_KEY_PREFIX, Till
from zinc_mcp.sandbox.ledger import Ledger, Row, fingerprint
from zinc_mcp.sandbox.listing import has_metadata, read_query
from zinc_mcp.sandbox.order_view import age_of, order_at, timeline_at
from zinc_mcp.sandbox.orders import Placing
from zinc_mcp.sandbox.outcome import WORKING_AT
from zinc_mcp.sandbox.prices import ORDER_FEE, WALLET_BALANCE
from zinc_mcp.sandbox.products import listed

LISTING_LAG = 5.0
"""Seconds until a new order is listed, at pace 1, where the dialect's listing lags."""

_logger = logging.getLogger(__name__)
_Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(
    ledger: Ledger,
    till: Till,
    offers: Offers,
    dialect: Dialect,
    pace: float,
    clock: Callable[[], float],
    settle: Settle | None,
) -> Starlette:
    """Return the ASGI app of one sandbox."""
    zinc = _Zinc(ledger, till, offers, dialect, pace, clock, settle)
    return Starlette(
        routes=[
            Route("/orders", _answering(zinc.create_order), methods=["POST"]),
            Route("/orders", _answering(zinc.list_orders), methods=["GET"]),
            Route("/orders/test-products", _answering(zinc.list_test_products), methods=["GET"]),
            Route("/orders/{order_id}", _answering(zinc.get_order), methods=["GET"]),
            Route("/orders/{order_id}/timeline", _answering(zinc.get_timeline), methods=["GET"]),
            Route("/orders/{order_id}/cancel", _answering(zinc.cancel_order), methods=["POST"]),
            Route("/agent/orders", _answering(zinc.create_agent_order), methods=["POST"]),
            Route("/practice/settlements/{challenge_id}", _answering(zinc.get_settlement), methods=["GET"]),
            Route("/wallet/me", _answering(zinc.get_wallet), methods=["GET"]),
            Route("/health", _answering(zinc.get_health), methods=["GET"]),
        ],
        exception_handlers={
            HTTPException: _framework_error,
            ClientDisconnect: _nobody_listens,
            sqlite3.Error: zinc.out_of_order,
        },
    )


def _answering(endpoint: _Endpoint) -> _Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except AnsweredError as answered:
            return answered.answer

    return answer


async def _framework_error(request: Request, error: Exception) -> Response:
    # Errors that are the web framework's own (no such path, no such method) have its plain shape.
    known = error if isinstance(error, HTTPException) else HTTPException(500)
    return as_json({"detail": known.detail}, known.status_code)


async def _nobody_listens(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


class _Zinc:
    def __init__(
        self,
        ledger: Ledger,
        till: Till,
        offers: Offers,
        dialect: Dialect,
        pace: float,
        clock: Callable[[], float],
        settle: Settle | None,
    ) -> None:
        self._ledger = ledger
        self._till = till
        self._listing = dialect.listing
        self._not_cancellable = int(dialect.not_cancellable.removeprefix("status_"))
        self._pace = pace
        self._clock = clock
        self._answers = Answers(dialect)
        self._placing = Placing(ledger, dialect, self._answers, pace)
        self._agents = AgentPlacing(ledger, till, offers, dialect, self._answers, pace, settle)

    async def create_order(self, request: Request) -> Response:
        """`POST /orders`."""
        content = await request.body()
        caller, refusal = self._caller(request)
        return await self._placing.post(content, self._clock(), caller, refusal)

    async def create_agent_order(self, request: Request) -> Response:
        """`POST /agent/orders`."""
        content, method = await request.body(), request.query_params.get("method")
        return await self._agents.post(content, self._clock(), method, request.headers.get("authorization"))

    async def get_settlement(self, request: Request) -> Response:
        """`GET /practice/settlements/{id}`: what became of a challenge. Ours, and needs no key: Zinc has no such thing.

        A real wallet asks its own chain or bank; the practice wallet has none but this.
        """
        fate = self._till.fate(request.path_params["challenge_id"], self._clock())
        if fate is None:
            return self._answers.error(404, "not_found", "No such challenge was issued here.")
        return as_json({"ending": fate[0], "reference": fate[1]})

    async def list_orders(self, request: Request) -> Response:
        """`GET /orders`."""
        caller, now = self._reader(request), self._clock()
        query = read_query(request.query_params)
        if isinstance(query, list):
            return self._answers.invalid(query)
        rows = self._ledger.of(caller)
        if query.metadata and self._listing != "unfiltered":
            rows = [row for row in rows if has_metadata(row.body.get("metadata") or {}, query.metadata)]
        fault = next(filter(None, [self._read_fault(row, "list_fault") for row in rows]), None)
        if self._listing == "lags":
            rows = [row for row in rows if (now - row.created_at) * self._pace >= LISTING_LAG]
        orders = [order_at(row, now, self._pace, events=query.events) for row in rows]
        orders = [order for order in orders if all(matches(order) for matches in query.filters)]
        page: dict[str, Any] = {"orders": orders}
        if self._listing != "unpaged":
            shown = orders[query.offset : query.offset + query.limit]
            page = {"orders": shown, "total": len(orders), "limit": query.limit, "offset": query.offset}
        return self._answered(as_json(page), fault)

    async def get_order(self, request: Request) -> Response:
        """`GET /orders/{id}`: 404 when unknown or not yours."""
        row = self._row(request, self._reader(request))
        fault = self._read_fault(row, "read_fault")
        return self._answered(as_json(order_at(row, self._clock(), self._pace)), fault)

    async def get_timeline(self, request: Request) -> Response:
        """`GET /orders/{id}/timeline`."""
        return as_json(timeline_at(self._row(request, self._reader(request)), self._clock(), self._pace))

    async def cancel_order(self, request: Request) -> Response:
        """`POST /orders/{id}/cancel`: 204 while pending; the status of the refusal is not documented."""
        row, now = self._row(request, self._authorised(request)), self._clock()
        pending = row.cancelled_at is None and age_of(row, now, self._pace) < WORKING_AT
        if pending and self._ledger.cancel(row.order_id, now):
            return Response(status_code=204)
        return self._answers.error(
            self._not_cancellable, "order_not_cancellable", "Only a pending order can be cancelled."
        )

    async def list_test_products(self, request: Request) -> Response:
        """`GET /orders/test-products`."""
        self._authorised(request)
        return as_json(listed())

    async def get_wallet(self, request: Request) -> Response:
        """`GET /wallet/me`: the sandbox's balance, which no test order lowers."""
        self._authorised(request)
        return as_json(
            {
                "id": "3c6e0b8a-9c15-4b5e-8f2e-6f1d0a7b2c11",
                "user_id": 1,
                "balance": WALLET_BALANCE,
                "spendable_balance": WALLET_BALANCE,
                "order_fee_cents": ORDER_FEE,
                "wallet_type": "purchases",
                "billed_by_invoice": False,
                "created_at": "2026-01-01T00:00:00+00:00",
                "updated_at": "2026-01-01T00:00:00+00:00",
            }
        )

    async def get_health(self, request: Request) -> Response:
        """`GET /health`: public."""
        now = datetime.fromtimestamp(self._clock(), UTC).isoformat()
        components = {"db": "up", "queue": "up", "ordering": "up"}
        return as_json({"status": "up", "components": components, "updated_at": now})

    async def out_of_order(self, request: Request, error: Exception) -> Response:
        """Answer for a ledger that cannot be read or written, as a server with a broken database does."""
        _logger.error("the ledger is out of order: %s", error)
        return self._answers.error(500, "internal_error", "An internal error occurred.")

    def _caller(self, request: Request) -> tuple[str, Response | None]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.startswith("zn_test_") and len(token) > len("zn_test_"):
            return fingerprint(token), None
        # Nothing real comes here: a live key is as wrong as none, whatever X-Test-Mode says.
        code = "invalid_token" if token else "unauthorized"
        return fingerprint(token), self._answers.error(401, code, "Not authenticated.")

    def _authorised(self, request: Request) -> str:
        caller, refusal = self._caller(request)
        if refusal:
            raise AnsweredError(refusal)
        return caller

    def _reader(self, request: Request) -> str:
        # The key of a paid order is for its status (MPP page), so it reads, and finds that one order.
        token = request.headers.get("authorization", "").partition(" ")[2]
        if token.startswith(ORDER_KEY_PREFIX) and self._ledger.of(fingerprint(token)):
            return fingerprint(token)
        return self._authorised(request)

    def _row(self, request: Request, caller: str) -> Row:
        order_id = request.path_params["order_id"]
        row = self._ledger.find(caller, order_id)
        if row is None:
            details = {"resource": "Order", "identifier": order_id}
            raise AnsweredError(self._answers.error(404, "not_found", "Order not found.", details))
        return row

    def _read_fault(self, row: Row, parameter: str) -> Fault | None:
        # Reads are counted only where somebody asked: a read writes nothing otherwise.
        if not asks(row.body, parameter):
            return None
        return fault_for(row.body, parameter, self._ledger.count_read(row.order_id, parameter))

    def _answered(self, answer: Response, fault: Fault | None) -> Response:
        return spoilt(fault, answer, self._answers.error, self._pace) if fault else answer

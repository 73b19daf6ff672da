"""The endpoints of the sandbox (Orders, Wallet and Health of the SDK 2026.10.16's OpenAPI)."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from zinc_mcp.sandbox.catalogue import Trouble, listed, scenario_of
from zinc_mcp.sandbox.course import WORKING_AT, course_of
from zinc_mcp.sandbox.dialect import Dialect
from zinc_mcp.sandbox.faults import Fault, UnknownFaultError, asks, fault_for, spoilt
from zinc_mcp.sandbox.intake import address_problem, key_in, read_body
from zinc_mcp.sandbox.ledger import Ledger, Row, fingerprint
from zinc_mcp.sandbox.listing import has_metadata, read_query
from zinc_mcp.sandbox.orders import age_of, order_at, timeline_at
from zinc_mcp.sandbox.prices import ORDER_FEE, WALLET_BALANCE

LISTING_LAG = 5.0
"""Seconds until a new order is listed, at pace 1, where the dialect's listing lags."""
PROCESSING = 0.2
"""Seconds a POST is being processed, at pace 1, in dialects where that can be seen."""

_Json = dict[str, Any]


def build_app(ledger: Ledger, dialect: Dialect, pace: float, clock: Callable[[], float]) -> Starlette:
    """Return the ASGI app of one sandbox."""
    zinc = _Zinc(ledger, dialect, pace, clock)
    answering = zinc.answering
    return Starlette(
        routes=[
            Route("/orders", answering(zinc.create_order), methods=["POST"]),
            Route("/orders", answering(zinc.list_orders), methods=["GET"]),
            Route("/orders/test-products", answering(zinc.list_test_products), methods=["GET"]),
            Route("/orders/{order_id}", answering(zinc.get_order), methods=["GET"]),
            Route("/orders/{order_id}/timeline", answering(zinc.get_timeline), methods=["GET"]),
            Route("/orders/{order_id}/cancel", answering(zinc.cancel_order), methods=["POST"]),
            Route("/agent/orders", answering(zinc.create_agent_order), methods=["POST"]),
            Route("/wallet/me", answering(zinc.get_wallet), methods=["GET"]),
            Route("/health", answering(zinc.get_health), methods=["GET"]),
        ],
        exception_handlers={HTTPException: _framework_error, ClientDisconnect: _nobody_listens},
    )


class _AnsweredError(Exception):
    """An endpoint has nothing more to do: this is the answer."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


def _as_json(content: object, status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")


async def _framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # the only class it is registered for
    return _as_json({"detail": error.detail}, error.status_code)


async def _nobody_listens(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


class _Zinc:
    def __init__(self, ledger: Ledger, dialect: Dialect, pace: float, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._dialect = dialect
        self._pace = pace
        self._clock = clock

    def answering(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except _AnsweredError as answered:
                return answered.answer

        return answer

    async def create_order(self, request: Request) -> Response:
        """`POST /orders`. The order of the checks is not documented; ours is key, form, address, product, repeat."""
        content, at = await request.body(), self._clock()
        body, problems = read_body(content)
        key = key_in(body)
        caller, refusal = self._caller(request)
        attempt, nth = self._ledger.note(at, caller, key, content)
        fault: Fault | None = None
        try:
            if refusal:
                raise _AnsweredError(refusal)
            fault = self._fault(body, "fault", nth)
            if fault and not fault.accepts:
                self._ledger.close_attempt(attempt, f"not_accepted_{fault.name}", fault.name)
                return spoilt(fault, Response(), self._error, self._pace)
            self._check(body, problems)
            answer, outcome = await self._place(attempt, at, caller, key, body, fault)
        except _AnsweredError as answered:
            answer, outcome = answered.answer, f"rejected_{answered.answer.status_code}"
        self._ledger.close_attempt(attempt, outcome, fault.name if fault else None)
        return spoilt(fault, answer, self._error, self._pace) if fault else answer

    async def _place(
        self, attempt: int, at: float, caller: str, key: str | None, body: _Json, fault: Fault | None
    ) -> tuple[Response, str]:
        concurrent = self._dialect.concurrent
        processing = 0.0 if concurrent == "serialised" else PROCESSING
        accepted = self._ledger.accept(
            attempt,
            at=at,
            caller=caller,
            key=key,
            body=body,
            scenario=course_of(body).scenario.name,
            busy_seconds=(processing + (fault.seconds if fault else 0.0)) / self._pace,
            honour_keys=self._dialect.keys == "honoured",
        )
        if not accepted.created:
            if not accepted.in_flight or concurrent == "serialised":
                answer = self._repeat(key, accepted.row, body)
            elif concurrent == "both_in_flight_409":
                answer = self._conflict(key, accepted.row)
            else:
                answer = self._error(500, "internal_error", "An internal error occurred.")
            return answer, f"replayed_{answer.status_code}"
        if processing:
            await anyio.sleep(processing / self._pace)
        if concurrent == "both_in_flight_409" and self._ledger.contested(attempt):
            return self._conflict(key, accepted.row), "created"
        return _as_json(order_at(accepted.row, at, self._pace), 201), "created"

    def _check(self, body: _Json, problems: list[_Json]) -> None:
        if problems:
            raise _AnsweredError(self._invalid(problems))
        if wrong := address_problem(body["shipping_address"]):
            field, message = wrong
            if self._dialect.address == "detail_422":
                located = {"type": "value_error", "loc": ["body", "shipping_address", field], "msg": message}
                raise _AnsweredError(self._invalid([located]))
            raise _AnsweredError(self._error(400, "invalid_shipping_address", message, {"field": field}))
        payment: _Json = body.get("payment") or {}
        if payment.get("mode") == "card":
            raise _AnsweredError(self._error(402, "payment_required", "Pay for this order to place it."))
        refusals = (scenario_of(product["url"]).refusal for product in body["products"])
        if refusal := next(filter(None, refusals), None):
            raise _AnsweredError(self._refused(refusal, body["max_price"]))

    def _refused(self, refusal: Trouble, max_price: int) -> Response:
        if refusal.code != "insufficient_funds":
            return self._error(refusal.status, refusal.code, refusal.message)
        required = max_price + ORDER_FEE
        details = {"required": required, "available": min(250, required - 1), "fund_with": ["card", "ach", "wire"]}
        status = 402 if self._dialect.insufficient_funds == "status_402" else 400
        return self._error(status, refusal.code, refusal.message, details)

    def _repeat(self, key: str | None, row: Row, body: _Json) -> Response:
        match self._dialect.repeat:
            case "conflict_409":
                return self._conflict(key, row)
            case "conflict_500":
                return self._error(500, "internal_error", "An internal error occurred.")
            case "unauthorized_401":
                return self._error(401, "token_expired", "The token has expired.")
            case "payment_402":
                return self._refused(Trouble("insufficient_funds", "The balance is too low."), body["max_price"])

    def _conflict(self, key: str | None, row: Row) -> Response:
        details: _Json | None = {"resource": "Order", "identifier": key}
        match self._dialect.conflict_identifier:
            case "key":
                pass
            case "order_id":
                details = {"resource": "Order", "identifier": row.order_id}
            case "details_order_id":
                details = {"resource": "Order", "identifier": key, "order_id": row.order_id}
            case "none":
                details = None
        return self._error(409, "already_exists", "Order already exists.", details)

    async def create_agent_order(self, request: Request) -> Response:
        """`POST /agent/orders`: the agent rail is not open here yet."""
        return self._error(503, "service_unavailable", "The agent rail is not open in this sandbox.")

    async def list_orders(self, request: Request) -> Response:
        """`GET /orders`."""
        caller, now = self._authorised(request), self._clock()
        query = read_query(request.query_params)
        if isinstance(query, list):
            return self._invalid(query)
        listing = self._dialect.listing
        rows = self._ledger.of(caller)
        if query.metadata and listing != "unfiltered":
            rows = [row for row in rows if has_metadata(row.body.get("metadata") or {}, query.metadata)]
        fault = next(filter(None, (self._read_fault(row, "list_fault") for row in rows)), None)
        if listing == "lags":
            rows = [row for row in rows if (now - row.created_at) * self._pace >= LISTING_LAG]
        orders = [order_at(row, now, self._pace, events=query.events) for row in rows]
        orders = [order for order in orders if all(matches(order) for matches in query.filters)]
        page: _Json = {"orders": orders}
        if listing != "unpaged":
            shown = orders[query.offset : query.offset + query.limit]
            page = {"orders": shown, "total": len(orders), "limit": query.limit, "offset": query.offset}
        return self._answered(_as_json(page), fault)

    async def get_order(self, request: Request) -> Response:
        """`GET /orders/{id}`: 404 when unknown or not yours."""
        row = self._row(request)
        fault = self._read_fault(row, "read_fault")
        return self._answered(_as_json(order_at(row, self._clock(), self._pace)), fault)

    async def get_timeline(self, request: Request) -> Response:
        """`GET /orders/{id}/timeline`."""
        return _as_json(timeline_at(self._row(request), self._clock(), self._pace))

    async def cancel_order(self, request: Request) -> Response:
        """`POST /orders/{id}/cancel`: 204 while pending; the status of the refusal is not documented."""
        row, now = self._row(request), self._clock()
        if age_of(row, now, self._pace) < WORKING_AT and self._ledger.cancel(
            row.order_id, now, now - WORKING_AT / self._pace
        ):
            return Response(status_code=204)
        status = int(self._dialect.not_cancellable.removeprefix("status_"))
        return self._error(status, "order_not_cancellable", "Only a pending order can be cancelled.")

    async def list_test_products(self, request: Request) -> Response:
        """`GET /orders/test-products`."""
        self._authorised(request)
        return _as_json(listed())

    async def get_wallet(self, request: Request) -> Response:
        """`GET /wallet/me`: the sandbox's balance, which no test order lowers."""
        self._authorised(request)
        return _as_json(
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
        return _as_json({"status": "up", "components": components, "updated_at": now})

    def _caller(self, request: Request) -> tuple[str, Response | None]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.startswith("zn_test_") and len(token) > len("zn_test_"):
            return fingerprint(token), None
        code = "invalid_token" if token else "unauthorized"
        # Nothing real comes here: a live key is as wrong as none, whatever X-Test-Mode says.
        return fingerprint(token), self._error(401, code, "Not authenticated.")

    def _authorised(self, request: Request) -> str:
        caller, refusal = self._caller(request)
        if refusal:
            raise _AnsweredError(refusal)
        return caller

    def _row(self, request: Request) -> Row:
        caller, order_id = self._authorised(request), request.path_params["order_id"]
        row = self._ledger.find(caller, order_id)
        if row is None:
            details = {"resource": "Order", "identifier": order_id}
            raise _AnsweredError(self._error(404, "not_found", "Order not found.", details))
        return row

    def _fault(self, body: object, parameter: str, nth: int) -> Fault | None:
        try:
            return fault_for(body, parameter, nth)
        except UnknownFaultError as error:
            raise _AnsweredError(self._error(400, "bad_request", str(error))) from None

    def _read_fault(self, row: Row, parameter: str) -> Fault | None:
        # Reads are counted only where somebody asked: a read writes nothing otherwise.
        if not asks(row.body, parameter):
            return None
        return self._fault(row.body, parameter, self._ledger.count_read(row.order_id, parameter))

    def _answered(self, answer: Response, fault: Fault | None) -> Response:
        return spoilt(fault, answer, self._error, self._pace) if fault else answer

    def _error(self, status: int, code: str, message: str, details: _Json | None = None) -> Response:
        error = {"code": code, "message": message, "details": details}
        return _as_json({"error": error} if self._dialect.errors == "nested" else error, status)

    def _invalid(self, problems: list[_Json]) -> Response:
        if self._dialect.validation == "detail_list":
            return _as_json({"detail": problems}, 422)
        return self._error(422, "validation_error", "The request is invalid.", {"errors": problems})

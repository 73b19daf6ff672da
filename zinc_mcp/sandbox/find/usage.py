"""The paid questions about products with a key: each is recorded when it succeeds, and `GET /usage` counts them.

A call that asks about "insufficient funds" is answered as with an empty wallet.
"""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.aftercare.requests import when
from zinc_mcp.sandbox.faults.spoilt_answers import spoil
from zinc_mcp.sandbox.find.faults import due_answer_fault
from zinc_mcp.sandbox.find.parameters import number

_Json = dict[str, Any]

ENDPOINTS = ("search", "product_search", "product_offers", "product_details")
"""The names of the calls; the documents name none, so these are the SDK's for its methods of the agent rail."""
_DAY_SECONDS = 86_400
_USUAL_DAYS, _MOST_DAYS = 30, 90
_USUAL_ROWS, _MOST_ROWS = 20, 100
"""Rows of `recent`; the documents name no numbers."""


def metered(
    sandbox: Sandbox, request: Request, endpoint: str, content: Callable[[], _Json], product_id: str | None = None
) -> Response:
    """Answer a data call, and record it if it succeeded."""
    caller = checks.authorised_caller(sandbox, request)
    given = request.query_params
    query = given.get("q") or given.get("query")
    if "insufficient funds" in (query or product_id or "").lower().replace("-", " "):
        # Not the error envelope: a data call has a shape of its own (SDK, measured).
        if sandbox.dialect.empty_wallet == "envelope":
            return checks.error(sandbox.dialect, 402, "insufficient_funds", "Insufficient wallet balance.")
        return checks.as_json({"detail": "Insufficient wallet balance."}, 402)
    found = content()
    fault = due_answer_fault(sandbox, request)
    if fault is not None and not fault.accepts:
        return spoil(sandbox, fault, Response())
    if found["status"] == "completed":
        rows = found.get("results", found.get("offers"))
        retailers = given.getlist("retailer")
        with sandbox.ledger.transaction() as database:
            database.execute(
                "INSERT INTO data_calls (at, caller, endpoint, query, result_count, retailer, product_id) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    sandbox.clock(),
                    caller,
                    endpoint,
                    query,
                    None if rows is None else len(rows),
                    retailers[0] if len(retailers) == 1 else None,
                    product_id,
                ),
            )
    answer = checks.as_json(found)
    return answer if fault is None else spoil(sandbox, fault, answer)


async def get_usage(sandbox: Sandbox, request: Request) -> Response:
    """`GET /usage`: the caller's data calls of some days, and the newest ones."""
    caller, now = checks.authorised_caller(sandbox, request), sandbox.clock()
    days = number(sandbox, request, "window_days", 1, _MOST_DAYS) or _USUAL_DAYS
    most = number(sandbox, request, "recent", 0, _MOST_ROWS)
    since = now - days * _DAY_SECONDS
    rows = sandbox.ledger.select(
        "SELECT * FROM data_calls WHERE caller = ? AND at > ? ORDER BY seq DESC", caller, since - days * _DAY_SECONDS
    )
    metrics = {name: {"total": 0, "prev_total": 0, "series": [0] * days} for name in ENDPOINTS}
    for row in rows:
        metric: _Json = metrics[row["endpoint"]]
        if row["at"] <= since:
            metric["prev_total"] += 1
        else:
            metric["total"] += 1
            metric["series"][min(days - 1, int((row["at"] - since) // _DAY_SECONDS))] += 1
    shown = ("endpoint", "query", "result_count", "retailer", "product_id")
    recent = [
        {"at": when(row["at"]), **{name: row[name] for name in shown}}
        for row in rows[: _USUAL_ROWS if most is None else most]
        if row["at"] > since
    ]
    return checks.as_json({"window_days": days, "since": when(since), "metrics": metrics, "recent": recent})

"""The delivery in an order's view: parcels, the day on which the last one should arrive, and the order's steps."""

import re
from collections.abc import Sequence
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from zinc_mcp.views.parts import Cleaner, count_hidden, short
from zinc_mcp.zinc.placed.timeline import Milestone
from zinc_mcp.zinc.responses import Order, Tracking

MAX_CHECKPOINTS = 3
MAX_STEPS = 20
MAX_LINK = 1000
"""Characters of a link: a longer one is left out, because a part of it opens nothing."""
_LINK = re.compile(r"https://[!-~]+")
_DAY = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9](?:[T ]|$)")


def parcel(tracking: Tracking, clean: Cleaner) -> dict[str, Any]:
    """Return a parcel with its latest checkpoints."""
    # Zinc documents newest first. Sorting is stable, so rows without a time keep their order.
    newest = sorted(
        tracking.checkpoints,
        key=lambda each: each.checkpoint_time.timestamp() if each.checkpoint_time else 0.0,
        reverse=True,
    )
    return {
        "carrier": short(tracking.carrier, 60),
        "number": short(tracking.tracking_number, 60),
        "status": short(tracking.status, 40),
        "estimated_delivery": short(tracking.estimated_delivery_date, 40),
        "url": link(tracking.zinc_tracking_url),
        "proof": link(tracking.delivery_proof_url),
        "checkpoints": [
            {
                "time": each.checkpoint_time.isoformat(timespec="minutes") if each.checkpoint_time else None,
                "status": short(each.status, 40),
                "message": clean(each.message, 120),
                "place": clean(each.location or ", ".join(part for part in (each.city, each.state) if part), 80),
            }
            for each in newest[:MAX_CHECKPOINTS]
        ],
        "checkpoints_left_out": count_hidden(tracking, "checkpoints", MAX_CHECKPOINTS) or None,
    }


def link(url: str | None) -> str | None:
    """Return an address that a person can open, whole and without anything hidden in it; None for anything else.

    This program does not open it.
    """
    if url is None or len(url) > MAX_LINK or not _LINK.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        return url if parts.hostname and parts.username is None else None
    except ValueError:
        return None


def timeline(steps: Sequence[Milestone], clean: Cleaner) -> list[dict[str, str]]:
    """Return the latest milestones, oldest first. Those without a time come first, as Zinc gives them."""
    in_order = sorted(steps, key=lambda step: step.occurred_at.timestamp() if step.occurred_at else 0.0)
    found: list[dict[str, str]] = []
    for step in in_order[-MAX_STEPS:]:
        what = (short(step.type, 40) if step.type else clean(step.label, 60)) or "unknown"
        at = {"at": step.occurred_at.isoformat(timespec="minutes")} if step.occurred_at else {}
        found.append({**at, "step": what})
    return found


def estimated_day(order: Order | None) -> str | None:
    """Return the day on which the last parcel should arrive: the latest day of a carrier, else the retailer's."""
    if order is None or order.tracking_state == "delivered":
        return None
    on_their_way = [each for each in order.tracking_numbers if each.status != "delivered"]
    days = [each.estimated_delivery_date[:10] for each in on_their_way if _is_day(each.estimated_delivery_date)]
    if days:
        return max(days)
    said = order.job_result.estimated_delivery if order.job_result else None
    return said[:10] if said is not None and _is_day(said) else short(said, 40)


def _is_day(text: str | None) -> TypeGuard[str]:
    return text is not None and _DAY.match(text) is not None

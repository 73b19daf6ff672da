"""The fault campaign: it checks that one intention stays one purchase, whatever breaks.

    python -m bench.faults --seed 1 --intentions 20000 --dialect all

It starts real server processes over stdio and HTTP, and a sandbox process behind a real socket. It goes through every
fault and every dialect, a `kill -9` at every step of the checkout, one to four processes that race with the same
intention in other words, hosts that cancel or break off, clocks that jump, a Zinc that stops and starts again, and the
classes of `bench.campaign.plan.classes`. Then `bench.campaign.judge` reads Zinc's own ledger and the journals. The exit
status is 1 if a promise was broken, and after a long run also if no process died at one of the plan's steps.

    python -m bench.faults --rail v1 --intentions 5000 --dialect all

does this with orders of Zinc's v1, in the dialects of v1, and in part with one intention on all three rails at once.

    python -m bench.faults --kinds cancel,return,case --intentions 2000 --dialect all

does this with orders after their purchase (`bench.campaign.plan.after_sale`), 2000 intentions of each kind, and

    python -m bench.faults --kinds look_up --intentions 2000 --dialect all

with questions about products for which a wallet pays (`bench.campaign.plan.look_up`).

    python -m bench.faults --database postgresql --intentions 3000 --dialect default

keeps the journals of any of these on a real PostgreSQL.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from bench.campaign import after_sale, look_up
from bench.campaign.after_sale import AfterSaleCampaign
from bench.campaign.agents.agent import TURNS
from bench.campaign.journals.journal import Journals
from bench.campaign.journals.places import journals_on
from bench.campaign.judge.verdict import (
    ALL_ROWS,
    BROKEN,
    BROKEN_BY_V1,
    BROKEN_BY_WALLET,
    INTENTIONS,
    PLACED,
    Verdict,
)
from bench.campaign.look_up import LookUpCampaign
from bench.campaign.plan import look_up as plan_of_look_ups
from bench.campaign.plan.after_sale import DIALECTS, KINDS, kinds_in
from bench.campaign.plan.classes import asked_for
from bench.campaign.plan.intentions import Rail
from bench.campaign.plan.rails import PLANS
from bench.campaign.run import Campaign

_BROKEN_ON: Mapping[Rail, Sequence[str]] = {"agent": BROKEN_BY_WALLET, "v1": (*BROKEN_BY_WALLET, *BROKEN_BY_V1)}
"""The further rows of a rail. Some rounds of `--rail v1` use all three rails."""
LONG = 2000
"""A run with at least this number of intentions must reach every step of its plan."""


def report(campaign: Campaign, rail: Rail, *, full: bool) -> str:
    """Return the result of the campaign as text."""
    verdict, counts = campaign.verdict, campaign.verdict.counts
    rows = (*BROKEN, *_BROKEN_ON.get(rail, ()))
    histograms = {"keys per intention": verdict.keys, "POSTs per intention": verdict.posts}
    if rail != "account":
        histograms["credentials per intention"] = verdict.credentials
        histograms["settlements per intention"] = verdict.settlements
    others = sorted(set(counts) - {*rows, INTENTIONS, PLACED})
    lines = [*campaign.coverage.table(full=full), ""]
    lines += [f"{name:52} {counts[name]:7}" for name in (INTENTIONS, PLACED)]
    lines += [f"{name:52} {_histogram(counted)}" for name, counted in histograms.items()]
    lines += [
        f"{'begun by two to four processes':52} {campaign.racing:7}",
        f"{'slowest answer':52} {campaign.slowest_seconds:7.1f} s",
        "",
        *(f"{name:52} {counts[name]:7}" for name in rows),
        "",
        *(f"{name:52} {counts[name]:7}" for name in others),
    ]
    if verdict.unknown:
        lines += ["", "Unknown at the end, by reason, and then by first fault, or by dialect where Zinc has the order"]
        for why in sorted({each.why for each in verdict.unknown}):
            of = [each for each in verdict.unknown if each.why == why]
            cells = Counter(each.dialect if each.at_zinc else each.fault for each in of)
            lines.append(f"  {len(of):5} {why}")
            lines.append("        " + ", ".join(f"{name} {times}" for name, times in cells.most_common()))
    if verdict.findings:
        lines += ["", *verdict.findings]
    return "\n".join(lines)


def _histogram(counted: Mapping[int, int]) -> str:
    return "  ".join(f"{number}: {times}" for number, times in sorted(counted.items()))


def figures_by_step(campaign: AfterSaleCampaign | LookUpCampaign) -> str:
    """Return the figures of a campaign about other things than purchases, as JSON."""
    verdict = campaign.verdict
    found = {
        "counts": dict(verdict.counts),
        "broken": verdict.broken_rows,
        "posts": dict(verdict.posts),
        "settlements": dict(verdict.settlements),
        "reached": [[*cell, times] for cell, times in sorted(campaign.reached.items())],
        "missed": campaign.missed,
        "racing": campaign.racing,
        "findings": verdict.findings,
    }
    return json.dumps(found, indent=1)


def figures(campaign: Campaign) -> str:
    """Return the figures of the campaign as JSON."""
    verdict, coverage = campaign.verdict, campaign.coverage
    found = {
        "counts": dict(verdict.counts),
        "broken": verdict.broken_rows,
        "keys": dict(verdict.keys),
        "posts": dict(verdict.posts),
        "credentials": dict(verdict.credentials),
        "settlements": dict(verdict.settlements),
        "reached": sorted({f"{fault} {what}" for fault, _, what in coverage.reached}),
        "classes": [[*cell, times] for cell, times in sorted(coverage.reached_cases.items())],
        "missed": coverage.missed,
        "unforeseen": coverage.unforeseen,
        "racing": campaign.racing,
        "findings": verdict.findings,
    }
    return json.dumps(found, indent=1)


def main() -> int:
    """Run the campaign and print its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--intentions", type=int, default=400)
    parser.add_argument("--rail", choices=list(PLANS), default="account")
    parser.add_argument("--dialect", default="all", help="`all`, or one as the sandbox spells it; `;` between several")
    parser.add_argument("--kinds", default="", help="only rounds of these classes; `,` between several")
    parser.add_argument("--first", default="", help="rounds of these kinds come first; `,` between several")
    parser.add_argument("--until", default="", help="stop once one of these rows is broken, or `any`; `;` between them")
    parser.add_argument("--most", type=int, help="stop once this number of intentions was judged")
    parser.add_argument("--at-once", type=int, help="rounds at the same time (2; on the agent rail 5)")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"the number of times that an agent asks ({TURNS})")
    parser.add_argument("--late-looks", type=int, default=2, help="late looks, each after payments have expired (2)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--keep", action="store_true", help="keep ledgers, journals and calls of all rounds")
    parser.add_argument(
        "--database", choices=["sqlite", "postgresql"], default="sqlite", help="the database of the journals"
    )
    parser.add_argument("--brief", action="store_true", help="print the coverage only as sums over the dialects")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="zinc-mcp-campaign-"))
    began = time.monotonic()
    named = kinds_in(chosen.kinds)
    if named and len(named) != len(chosen.kinds.split(",")):
        parser.error(f"{', '.join(KINDS)} cannot be combined with other kinds")
    about = _look_ups if chosen.kinds == plan_of_look_ups.KIND else _after_sale if named else _purchases
    with closing(journals_on(chosen.database)) as journals:
        verdict, missed, text, found = about(chosen, folder, journals)
    print(text)
    print(f"\n{time.monotonic() - began:.0f} s, seed {chosen.seed}, {os.cpu_count()} cores")
    if chosen.json:
        chosen.json.write_text(found, encoding="utf-8")
    if chosen.keep or verdict.broken_rows:
        print(f"Ledgers, journals and calls are kept in {folder}.")
    else:
        shutil.rmtree(folder)
    is_long = chosen.intentions >= LONG and chosen.most is None and not chosen.until
    return 1 if verdict.broken_rows or (is_long and missed) else 0


_Result = tuple[Verdict, bool, str, str]
"""The verdict, whether a step was missed, the text of the result, and the figures as JSON."""


def _purchases(chosen: argparse.Namespace, folder: Path, journals: Journals) -> _Result:
    rail: Rail = chosen.rail
    plan = PLANS[rail]
    campaign = Campaign(
        plan, folder, journals, keep=chosen.keep, turns=chosen.turns, late_looks=chosen.late_looks, until=_until(chosen)
    )
    kinds = asked_for(rail, chosen.kinds.split(",")) if chosen.kinds else ()
    first: list[str] = chosen.first.split(",")
    at_once = chosen.at_once or (5 if rail == "agent" else 2)
    dialects = _dialects(chosen, plan.dialects)
    asyncio.run(campaign.run(chosen.seed, chosen.intentions, dialects, at_once, kinds, first, chosen.most))
    text = report(campaign, rail, full=not chosen.brief)
    return campaign.verdict, bool(campaign.coverage.missed), text, figures(campaign)


def _after_sale(chosen: argparse.Namespace, folder: Path, journals: Journals) -> _Result:
    kinds = kinds_in(chosen.kinds)
    campaign = AfterSaleCampaign(folder, journals, keep=chosen.keep, turns=chosen.turns, until=_until(chosen))
    dialects = _dialects(chosen, DIALECTS)
    asyncio.run(campaign.run(chosen.seed, chosen.intentions, dialects, chosen.at_once or 2, kinds, chosen.most))
    return campaign.verdict, bool(campaign.missed), after_sale.report(campaign), figures_by_step(campaign)


def _look_ups(chosen: argparse.Namespace, folder: Path, journals: Journals) -> _Result:
    campaign = LookUpCampaign(folder, journals, keep=chosen.keep, turns=chosen.turns, until=_until(chosen))
    dialects = _dialects(chosen, plan_of_look_ups.DIALECTS)
    asyncio.run(campaign.run(chosen.seed, chosen.intentions, dialects, chosen.at_once or 2, chosen.most))
    return campaign.verdict, bool(campaign.missed), look_up.report(campaign), figures_by_step(campaign)


def _dialects(chosen: argparse.Namespace, every: Sequence[str]) -> Sequence[str]:
    return every if chosen.dialect == "all" else str(chosen.dialect).split(";")


def _until(chosen: argparse.Namespace) -> Sequence[str]:
    return ALL_ROWS if chosen.until == "any" else list(filter(None, str(chosen.until).split(";")))


if __name__ == "__main__":
    sys.exit(main())

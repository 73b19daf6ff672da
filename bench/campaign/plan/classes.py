"""Rounds of one class of further faults each, drawn from the same seed.

answers    Zinc answers about another order
failing    orders that a wallet has paid for fail or are cancelled
journal    the journal cannot be written for a while, from some step on
questions  people answer current, old and doubled questions, under one key in two modes
clocks     the clock of a process is an hour to six years off
stops      a process is stopped at a step for longer than its lease, and continued
slow       several processes each place many orders at once under a limit, while Zinc answers slowly
doubt      an order in doubt gets two days older, and the same is wanted again in other words
"""

import dataclasses
import random
from collections.abc import Mapping, Sequence

from bench.campaign.plan.draw import Draw, drawn_limit
from bench.campaign.plan.intentions import (
    IGNORED,
    PRACTICE,
    SERVERS,
    WORDS,
    How,
    Intention,
    Kind,
    Racer,
    Rail,
    Round,
    Words,
)
from zinc_mcp.sandbox.faults.asked import OTHERS

CLASSES: tuple[Kind, ...] = ("answers", "failing", "slow", "doubt", "questions", "clocks", "stops", "journal")
SIZES: Mapping[Kind, int] = {
    "answers": 24, "failing": 24, "slow": 16, "doubt": 10, "questions": 12, "clocks": 16, "stops": 8, "journal": 8,
}  # fmt: skip
"""Intentions in a round."""
LEAST_SHARE = 150
"""A dialect with fewer intentions has no rounds of these classes unless they are asked for."""
_SPREAD = 200
"""In a campaign with at least this many intentions, each second dialect with too few of them has one class."""
_IN_TURN = 2
"""The number of slow classes that each dialect except the default has."""
_QUICK: tuple[Kind, ...] = ("answers", "failing", "slow", "doubt")
_SLOW: tuple[Kind, ...] = ("journal", "questions", "clocks", "stops")

HOUR, DAY, YEAR = 3_600.0, 86_400.0, 365.25 * 86_400.0
FAR = {"an hour": HOUR, "a day": DAY, "25 hours": 25 * HOUR, "a month": 30 * DAY, "six years": 6 * YEAR}
"""The error of a clock, in seconds, ahead or behind."""
LOCKED_SECONDS, FULL_SECONDS = 4.0, 2.5
"""The time for which another process locks the journal, or the disk is full: longer than all attempts to write."""
BUSY_SECONDS = 0.5
"""The time for which a process of a `journal` round waits for the lock of another one."""

STEPS: Mapping[Rail, Mapping[Kind, Sequence[str]]] = {
    "account": {
        "journal": ("sending:1", "leaving:1", "answered:1", "unknown:1", "accepted:1"),
        "stops": ("sending:1", "leaving:1", "answered:1", "unknown:1"),
    },
    "v1": {
        "journal": ("sending:1", "leaving:1", "answered:1", "unknown:1", "accepted:1"),
        "stops": ("sending:1", "leaving:1", "answered:1", "unknown:1"),
    },
    "agent": {
        "journal": ("signing:1", "asking:1", "signed:1", "sending:1", "leaving:2", "headers:1", "answered:1"),
        "stops": ("signing:1", "asking:1", "signed:1", "sending:1", "leaving:2", "headers:1", "answered:1"),
    },
}
"""The steps at which the journal fails or the process stops. On the agent rail the unpaid request leaves first."""

_RESOLVING: Sequence[How] = ("others", "owner")
_FAILING: Sequence[How] = ("locked", "full", "full", "full", "full", "full", "full", "full")
"""There is only one lock in a round, because it stops all other processes as well."""
_ASKING: Sequence[Words] = ("key", "key", "all", "same")

_SETTINGS: Mapping[Kind, Mapping[str, str]] = {
    # The call waits for all attempts to write, so that its own answer tells of the failure.
    "journal": {"CAMPAIGN_CLOCKS": "answer_seconds=7", "CAMPAIGN_BUSY": str(BUSY_SECONDS)},
    "questions": {"CAMPAIGN_CLOCKS": "approval_seconds=4,heed_seconds=0.2", "ZINC_MCP_APPROVAL": "auto"},
}


def classes_of(place: int, dialect: str, rail: Rail, share: int, intentions: int = 0) -> Sequence[Kind]:
    """Return the classes of which a dialect has a round, by its place among all dialects.

    In a campaign of few `intentions` in many dialects every other dialect has one class instead of anything else.
    """
    if dialect in IGNORED:
        return ()
    if share < LEAST_SHARE:
        kinds = _of(rail, CLASSES)
        return (kinds[place // 2 % len(kinds)],) if intentions >= _SPREAD and place % 2 else ()
    start = place * _IN_TURN % len(_SLOW)
    slow = _SLOW if dialect == "default" else (_SLOW + _SLOW)[start : start + _IN_TURN]
    return (*_of(rail, _QUICK), *slow)


def asked_for(rail: Rail, kinds: Sequence[Kind]) -> Sequence[Kind]:
    """Return the named classes that a rail has.

    Raises:
        ValueError: no rail has one of them.
    """
    for kind in kinds:
        if kind not in CLASSES:
            raise ValueError(f"no such class: {kind!r}; there are {', '.join(CLASSES)}")
    return _of(rail, kinds)


def _of(rail: Rail, kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    return tuple(kind for kind in kinds if rail == "agent" or kind != "failing")


def class_rounds(
    draw: Draw, first: int, dialect: str, rail: Rail, kinds: Sequence[Kind], intentions: int | None = None
) -> list[Round]:
    """Draw one round of each of these classes, or the rounds that `intentions` intentions in all need."""
    rounds: list[Round] = []
    left = {kind: SIZES[kind] if intentions is None else max(2, intentions // len(kinds)) for kind in kinds}
    for kind in kinds:
        while left[kind] > 0:
            now = min(left[kind], SIZES[kind])
            rounds.append(class_round(draw, f"{first + len(rounds):03}-{kind}", dialect, rail, kind, now))
            left[kind] -= now
    return rounds


def class_round(draw: Draw, name: str, dialect: str, rail: Rail, kind: Kind, size: int) -> Round:
    """Draw one round of a class."""
    drawn = draw.round(name, dialect, kind, size)
    source = draw.source
    wishes = [_plain(source, wish) for wish in drawn.intentions]
    limit: int | None = None
    match kind:
        case "answers":
            wishes = [_answered(source, rail, wish) for wish in wishes]
        case "failing":
            wishes = [_failing(source, wish) for wish in wishes]
            limit = drawn_limit(source, drawn.price, 3, 6)
        case "slow":
            wishes = [_slow(source, wish) for wish in wishes]
            limit = drawn_limit(source, drawn.price, 3, 5)
        case "doubt":
            wishes = [_doubtful(source, rail, wish) for wish in wishes]
        case "questions":
            wishes = _asked(source, wishes)
        case "clocks":
            wishes = [_by_far_clock(source, wish) for wish in wishes]
            if source.random() < 0.35:
                limit = drawn_limit(source, drawn.price, 3, 6)
        case _:
            steps = STEPS[rail][kind]
            first = source.randrange(len(steps))
            hows = _RESOLVING if kind == "stops" else _FAILING
            wishes = [
                _at_step(source, kind, steps[(first + nth) % len(steps)], hows[nth % len(hows)], wish)
                for nth, wish in enumerate(wishes)
            ]
    return dataclasses.replace(
        drawn,
        intentions=tuple(wishes),
        limit_cents=limit,
        outage=False,
        repeat_seconds=None,
        old_journal=drawn.old_journal and kind != "clocks",
        settings=tuple({**dict(drawn.settings), **_SETTINGS.get(kind, {})}.items()),
    )


def _plain(source: random.Random, wish: Intention) -> Intention:
    """Return an intention without faults, except for an answer that is sometimes lost or slow."""
    faults = source.choices(["none", "drop_after", "http_500_after", "drop_before", "slow"], [8, 1, 1, 1, 1])
    return dataclasses.replace(
        wish,
        fault=faults[0],
        faults=tuple(faults),
        pay_faults=(),
        look_faults=(),
        scenario="success" if source.random() < 0.85 else "never-decided",
        kill="",
        clock="",
        behaviour="patient",
        persists=False,
    )


def _answered(source: random.Random, rail: Rail, wish: Intention) -> Intention:
    others = sorted(OTHERS) if rail != "v1" else ["other_order"]
    looks = tuple(source.choice([*others, *others, "none"]) for _ in range(source.randint(1, 3)))
    if rail != "v1" and source.random() < 0.5:  # the answer to a POST of v1 holds an id alone, which shows nothing
        fault = source.choice(others)
        faults = (fault, *(["none", source.choice(others)] if source.random() < 0.3 else []))
        looks = looks if source.random() < 0.4 else ()
        variant = f"201 of {fault}"
    else:
        fault = source.choice(["none", "drop_after", "http_500_after", "truncated"])
        faults, variant = (fault,), f"looks after {fault}"
    scenario = source.choices(["success", "never-decided", "out-of-stock"], [8, 1, 1])[0]
    return dataclasses.replace(
        wish, scenario=scenario, fault=fault, faults=faults, look_faults=looks, case=variant, follows=True
    )


def _failing(source: random.Random, wish: Intention) -> Intention:
    scenario = source.choices(["out-of-stock", "price-exceeded", "cancelled-by-retailer", "success"], [55, 20, 15, 10])[
        0
    ]
    return dataclasses.replace(wish, scenario=scenario, case=scenario, follows=True, persists=source.random() < 0.5)


def _slow(source: random.Random, wish: Intention) -> Intention:
    """Return an intention that several processes begin one after the other, while the first waits for its answer."""
    fault = source.choice(["slow_5", "slow_5", "too_slow", "hang"])
    first = source.choice(wish.racers)
    others = [server for server in range(SERVERS) if server != first.server]
    late = [
        Racer(server, source.choice(WORDS), round(source.uniform(0.15, 0.4), 3))
        for server in source.sample(others, source.choice([0, 1, 1, 2]))
    ]
    return dataclasses.replace(
        wish,
        fault="slow" if fault == "slow_5" else fault,
        faults=(fault,),
        scenario="never-decided" if source.random() < 0.7 else "success",
        case=f"{fault}, {1 + len(late)} at once",
        racers=(dataclasses.replace(first, after=0.0), *late),
    )


def _doubtful(source: random.Random, rail: Rail, wish: Intention) -> Intention:
    """Return an intention whose POSTs are not answered, and whose order no look-up finds."""
    faults = tuple(source.choices(["drop_after", "http_500_after", "truncated", "drop_before"], [3, 3, 1, 1], k=12))
    if rail == "agent":
        faults = tuple(source.choices(["drop_after", "settled_no_order", "http_500_after"], k=12))
    return dataclasses.replace(
        wish,
        fault=faults[0],
        faults=faults,
        look_faults=("http_500_after",) * (40 if source.random() < 0.7 else 6),
        scenario="success",
        case=f"two days after {faults[0]}",
        racers=wish.racers[:1],
        ages=True,
        follows=True,
    )


def _asked(source: random.Random, wishes: Sequence[Intention]) -> list[Intention]:
    """Give each key to two intentions: one to be bought, and one in practice, of other goods."""
    found: list[Intention] = []
    for place, wish in enumerate(wishes):
        key = f"asked-{wishes[place - place % 2].seed}"
        practice = place % 2 == 1
        words = source.choice(_ASKING)
        server = source.randrange(2) if practice else source.randrange(4)
        found.append(
            dataclasses.replace(
                wish,
                faults=("none",),
                fault="none",
                scenario="success",
                line2=PRACTICE if practice else wish.line2,
                given=key,
                case="asked in practice" if practice else "asked",
                racers=(Racer(server, words, 0.0),),
            )
        )
    return found


def _by_far_clock(source: random.Random, wish: Intention) -> Intention:
    name, seconds = source.choice(list(FAR.items()))
    ahead = source.random() < 0.5
    by = seconds if ahead else -seconds
    when = source.choice(["before", "before", "between", "after", "after"])
    clock = f"{source.uniform(0.2, 1.5):.2f}:{by}" if when == "between" else f"0:{by}"
    return dataclasses.replace(
        wish,
        clock=clock,
        behaviour="patient" if when == "after" else "jumps",
        far_after=when == "after",
        case=f"{name} {'ahead' if ahead else 'behind'}, {when}",
        racers=wish.racers[:1],
    )


def _at_step(source: random.Random, kind: Kind, step: str, how: How, wish: Intention) -> Intention:
    needs_doubt = step.startswith("unknown")
    fault = source.choice(["drop_after", "http_500_after", "drop_before"]) if needs_doubt else wish.fault
    if step.startswith("answered") and fault in ("drop_before", "drop_after"):
        fault = "http_500_after"
    racers = wish.racers[:1] if kind == "stops" or source.random() < 0.7 else wish.racers[:2]
    return dataclasses.replace(
        wish, fault=fault, faults=(fault,), step=step, how=how, case=f"{how} at {step}", racers=racers, kill=""
    )

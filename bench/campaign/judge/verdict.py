"""The verdict of a round: a count for each row of the campaign's table, and the findings in words."""

from collections import Counter
from dataclasses import dataclass, field

DUPLICATED = "duplicated"
LOST = "lost"
OVER_LIMIT = "over a limit"
WRONG_ENDING = "wrong endings"
FALSE_TWIN = "different orders taken for one"
CHANGED_BODY = "bytes changed under one key"
UNTRUE = "agents told something untrue"
BELIEVED = "answers about another order believed"
SAID_NOTHING_SENT = "agents told that nothing was sent, although it was"
WITHOUT_YES = "sent without a yes to these bytes"
BY_WRONG_CLOCK = "bought twice or over a limit by a wrong clock"
BY_STOPPED_PROCESS = "bought twice or over a limit by a stopped process"
TWO_OWNERS = "two owners within one lease"
AT_ONCE = "POSTs of one key at once"
UNCOUNTED = "reservations that do not count"
BESIDE_DOUBT = "opened while the same was in doubt"
NOT_NOTICED = "duplicates where keys are ignored, without a pause"
AFTER_PAUSE = "POSTs after the pause"
NOBODY_ANSWERED = "rounds of questions that nobody answered"

BROKEN = (
    DUPLICATED, LOST, OVER_LIMIT, WRONG_ENDING, FALSE_TWIN, CHANGED_BODY, UNTRUE, BELIEVED, SAID_NOTHING_SENT,
    WITHOUT_YES, BY_WRONG_CLOCK, BY_STOPPED_PROCESS, TWO_OWNERS, AT_ONCE, UNCOUNTED, BESIDE_DOUBT, NOT_NOTICED,
    AFTER_PAUSE, NOBODY_ANSWERED,
)  # fmt: skip
"""Rows that count broken promises: all must be zero. The last one counts rounds that proved nothing."""

SECOND_CREDENTIAL = "second credentials"
PAID_TWICE = "paid twice"
WRONG_AMOUNT = "paid a wrong amount"
FALSE_REQUEST_PAID = "false payment requests paid"
ORDER_KEY_LOST = "order keys lost"
PAID_OVER_LIMIT = "paid over a limit"
SAID_MONEY_BACK = "agents told of money back without proof"
WALLET_AGAIN = "wallets asked again or too late"
CREDENTIAL_KEPT = "credentials kept after the end"

BROKEN_BY_WALLET = (
    SECOND_CREDENTIAL, PAID_TWICE, WRONG_AMOUNT, FALSE_REQUEST_PAID, ORDER_KEY_LOST, PAID_OVER_LIMIT, SAID_MONEY_BACK,
    WALLET_AGAIN, CREDENTIAL_KEPT,
)  # fmt: skip
"""The further rows of rounds in which a wallet pays."""

FILED_TWICE = "filed twice"
SENT_AGAIN = "sent a second time"
NOT_ASKED_FOR = "filed although nobody asked for it"
CANCELLED_FALSELY = "told or kept as cancelled although it was not"
GIVEN_BACK = "money given back to the limits without proof"
YES_TO_ANOTHER = "a yes used for another question"
NOT_BEGUN = "rounds whose orders could not be brought to their state"

BROKEN_AFTER_SALE = (
    FILED_TWICE, LOST, UNTRUE, GIVEN_BACK, CANCELLED_FALSELY, SENT_AGAIN, NOT_ASKED_FOR, WITHOUT_YES, YES_TO_ANOTHER,
    TWO_OWNERS, NOBODY_ANSWERED, NOT_BEGUN,
)  # fmt: skip
"""The rows of rounds about cancellations, returns and cases. The last two count rounds that proved nothing."""

BROKEN_BY_LOOK_UP = (PAID_TWICE, OVER_LIMIT, LOST, UNTRUE, WRONG_AMOUNT, FALSE_REQUEST_PAID)
"""The rows of rounds of questions about products."""

ANSWER_REPEATED = "sent again although Zinc had answered"
SECRETS_TOLD = "tokens or account e-mails told or kept"

BROKEN_BY_V1 = (ANSWER_REPEATED, SECRETS_TOLD)
"""The further rows of rounds in which Zinc's v1 takes the orders."""

NOT_BOUGHT = "not bought"
"""Orders that were not bought without a reason."""
ALL_ROWS = tuple(dict.fromkeys((*BROKEN, *BROKEN_BY_WALLET, *BROKEN_AFTER_SALE, *BROKEN_BY_V1, NOT_BOUGHT)))

INTENTIONS = "intentions"
PLACED = "orders placed"

_MOST_FINDINGS = 15
"""The most findings in one row of a round that are written in words."""
_MOST_IN_ALL = 200


@dataclass(frozen=True, slots=True)
class Unknown:
    """An entry whose ending is not known when the campaign ends, and the truth about it."""

    fault: str
    dialect: str
    kill: str
    behaviour: str
    at_zinc: bool
    posts: tuple[str, ...]
    """The outcome and the fault of each POST in Zinc's ledger."""
    left_to_people: bool = False
    """Whether Zinc itself does not know its ending."""

    @property
    def why(self) -> str:
        """Return the reason why nobody can know more."""
        if self.left_to_people:
            return "Zinc has answered that it does not know, and only a person can find out"
        if self.at_zinc:
            return "Zinc has it, and no look-up of this dialect finds it"
        if not self.posts:
            return (
                "it never arrived: its process was killed after writing it down, or Zinc was away; no later call came"
            )
        if len(self.posts) == 1:
            return "its answer was lost, and nobody asked again in time"
        if self.posts[-1].startswith(("rejected", "not_accepted_rate", "not_accepted_unauth")):
            return "its answer was lost, and the rejection of a repeat proves nothing"
        return "every answer was lost"


@dataclass(slots=True)
class Verdict:
    """The result of one round, or of all of them together."""

    counts: Counter[str] = field(default_factory=Counter[str])
    """The count of each row."""
    keys: Counter[int] = field(default_factory=Counter[int])
    """Intentions, by the number of their idempotency keys that reached Zinc."""
    posts: Counter[int] = field(default_factory=Counter[int])
    """Intentions, by the number of their POSTs that reached Zinc."""
    unknown: list[Unknown] = field(default_factory=list[Unknown])
    findings: list[str] = field(default_factory=list[str])
    credentials: Counter[int] = field(default_factory=Counter[int])
    """Intentions, by the number of their payment credentials that reached Zinc."""
    settlements: Counter[int] = field(default_factory=Counter[int])
    """Intentions, by the number of their payments that were taken."""

    @property
    def is_broken(self) -> bool:
        """Whether a promise was broken."""
        return any(self.counts[row] for row in (*BROKEN, *BROKEN_BY_WALLET, *BROKEN_AFTER_SALE, *BROKEN_BY_V1))

    @property
    def broken_rows(self) -> list[str]:
        """The rows that must be zero and are not."""
        return [row for row in ALL_ROWS if self.counts[row]]

    def add(self, other: "Verdict") -> None:
        """Add another verdict to this one."""
        self.counts += other.counts
        self.keys += other.keys
        self.posts += other.posts
        self.credentials += other.credentials
        self.settlements += other.settlements
        self.unknown += other.unknown
        self.findings += other.findings[: max(0, _MOST_IN_ALL - len(self.findings))]

    def found(self, row: str, what: str) -> None:
        """Count a finding in a row, and keep its words."""
        self.counts[row] += 1
        if self.counts[row] <= _MOST_FINDINGS:
            self.findings.append(f"{row}: {what}")

    def told(self, name: str, dialect: str, intentions: int, seconds: float) -> str:
        """Return a line about a round, with its findings below it."""
        broken = {row: self.counts[row] for row in self.broken_rows}
        line = f"{name:12} {dialect:36} {intentions:4} intentions {seconds:5.1f} s  {broken or 'kept'}"
        return "\n".join([line, *(f"    {each}" for each in self.findings)])

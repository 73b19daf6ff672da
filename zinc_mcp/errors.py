"""The errors that we foresee, each with a sentence written for the model.

ZincMcpError
├── SettingsError                a setting of the owner cannot be used; raised at start, stops the program
├── RefusedError                 we said no; nothing was sent
│   ├── InvalidArgumentsError    the arguments of a tool call are wrong
│   ├── LimitExceededError       the order would exceed a limit of the owner
│   ├── AnotherServerError       this server may not send it, and another one on the same journal may
│   │   └── PolicyDiffersError   this server's policy is not the one that holds for all servers on its journal
│   └── TimeUnknownError         Zinc did not tell the time, and this machine's clock alone must not decide
├── JournalError                 the journal cannot be read or written; nothing new is sent without it
├── ZincUnreachableError         no connection to Zinc: nothing of this request was sent
├── OrderNotFoundError           this caller has no such order
├── OrderRejectedError           Zinc answered no: nothing was bought by this attempt
│   └── OrderAlreadyExistsError  the idempotency key was used before: the earlier order stands
├── OrderOutcomeUnknownError     the order was sent and not answered: only a look-up may end the doubt
├── ChangeRejectedError          Zinc answered no to a request that changes something: nothing was changed by it
├── ChangeOutcomeUnknownError    a request that changes something, and buys nothing, was sent and not answered
└── UnreadableAnswerError        Zinc's answer to a read cannot be read

Any other exception is a crash: it is logged, and the model is told no details.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

ErrorCode = Literal[
    "invalid_arguments",
    "unknown_address",
    "key_conflict",
    "key_used",
    "possible_duplicate",
    "limit_exceeded",
    "not_allowed",
    "cannot_be_ordered",
    "paused",
    "clock_uncertain",
    "policy_invalid",
    "policy_differs",
    "settings_invalid",
    "approval_expired",
    "approval_required",
    "question_closed",
    "too_many_waiting",
    "too_many_calls",
    "order_too_large",
    "account_not_configured",
    "wallet_not_configured",
    "wallet_unavailable",
    "declined",
    "journal_unavailable",
    "zinc_unreachable",
    "order_not_found",
    "order_rejected",
    "change_rejected",
    "order_exists",
    "outcome_unknown",
    "paid_no_order",
    "payment_refused",
    "zinc_unavailable",
    "internal_error",
]
"""The closed list of codes a tool result can carry."""
Whose = Literal["caller", "member", "role", "team"]
"""The callers whose orders count against a limit. `caller`: one caller, by a limit for every caller. `member`: one
caller, by a limit for this member. `role`: all callers with one role. `team`: all callers."""


@dataclass(frozen=True)
class Problem:
    """One field to change, and the reason. It never holds the value itself."""

    field: str
    reason: str


class ZincMcpError(Exception):
    """An error that we foresee.

    `summary` says what happened. `next_step` says what the model can do. We write both. A placing call and a look-up
    can end with the same error. So a `summary` says "nothing was sent" only if no look-up can end with that error, and
    the tool result says what the error means for a placing call. A terminal shows `owner_step` instead of `next_step`,
    or the advice of `cli.screen` for the code.

    `facts` holds codes and numbers. Foreign words stand only in `zinc_message`, cleaned and bounded.
    `money_may_have_moved` is about this call only.
    """

    default_code: ClassVar[ErrorCode] = "internal_error"
    default_next_step: ClassVar[str] = "Tell the user; nothing more can be done from here."
    money_may_have_moved: bool = False

    def __init__(
        self,
        summary: str,
        next_step: str | None = None,
        *,
        code: ErrorCode | None = None,
        facts: Mapping[str, Any] | None = None,
        problems: Sequence[Problem] = (),
        owner_step: str | None = None,
    ) -> None:
        super().__init__(summary)
        self.summary = summary
        self.next_step = next_step or self.default_next_step
        self.owner_step = owner_step
        self.code: ErrorCode = code or self.default_code
        self.facts: dict[str, Any] = dict(facts or {})
        self.problems = tuple(problems)


class SettingsError(ZincMcpError):
    """A setting of the owner cannot be used. The sentence names the setting and where it was found."""

    default_code: ClassVar[ErrorCode] = "settings_invalid"
    default_next_step = "Correct the setting and start again."

    def __init__(self, summary: str, next_step: str | None = None) -> None:
        super().__init__(summary, next_step)
        self.owner_step = self.next_step  # only the owner ever reads it


class RefusedError(ZincMcpError):
    """We said no: nothing was sent and nothing was bought."""

    default_code: ClassVar[ErrorCode] = "not_allowed"


class InvalidArgumentsError(RefusedError):
    """The arguments of a tool call are wrong. `problems` name each field and its reason."""

    default_code: ClassVar[ErrorCode] = "invalid_arguments"
    default_next_step = "Correct the fields named and call again."


class LimitExceededError(RefusedError):
    """The order would exceed a limit of the owner. `summary` names the limit and the amount left."""

    default_code: ClassVar[ErrorCode] = "limit_exceeded"
    default_next_step = "Tell the user which limit it is; only they can raise it, or wait until earlier orders age out."
    period_seconds: float | None = 86_400.0
    """The period of the limit; None for a limit without a period."""
    whose: Whose = "caller"
    """Whose orders count against it."""
    limit_in_words = ""
    """The limit and its period, as the sentence names them."""


class AnotherServerError(RefusedError):
    """This server may not send an entry, and another one on the same journal may: a yes stays a yes."""


class PolicyDiffersError(AnotherServerError):
    """The policy of this server is not the one that the owner published for all servers on the journal."""

    default_code: ClassVar[ErrorCode] = "policy_differs"


class TimeUnknownError(RefusedError):
    """Zinc did not tell the time, and this machine's clock alone must not decide whether something may be bought."""

    default_code: ClassVar[ErrorCode] = "clock_uncertain"
    default_next_step = "Call again in a minute with the same arguments."


class JournalError(ZincMcpError):
    """The journal cannot be read or written. Without it nothing is sent.

    `summary` is the cause alone. Only the code that was about to send, or had sent, knows the consequence: it adds the
    consequence with `before_sending`, `in_doubt` or `after_a_no`.
    """

    default_code: ClassVar[ErrorCode] = "journal_unavailable"
    default_next_step = "Tell the user that the journal has to work again; then call again."
    is_told = False
    """Whether `summary` states the consequence."""

    def before_sending(self, *, is_unread: bool = False) -> "JournalError":
        """Return this error with the consequence that nothing was sent; an error with a consequence stays as it is.

        Args:
            is_unread: the journal could not say whether an earlier call has ordered the same.
        """
        if self.is_told:
            return self
        by_others = " by this call. Whether an earlier call has ordered the same cannot be looked up now"
        told = JournalError(
            f"{self.summary} Nothing was sent{by_others if is_unread else ''}.",
            self.next_step,
            code=self.code,
            facts=self.facts,
            owner_step=self.owner_step,
        )
        told.is_told = True
        return told

    def in_doubt(self, happened: str, key: str, *, moves_money: bool = True, **facts: object) -> "JournalError":
        """Return this error with the consequence that the outcome of the order with this key is not known.

        Args:
            happened: the last known event as a clause, such as `The order was sent`.
            key: the key with which the order can be found.
            moves_money: whether the request buys something; a change of a placed order does not.
            facts: further facts, such as the order's id.
        """
        if self.is_told:
            return self
        told = JournalError(
            f"{happened}, but the journal could not be used then. {self.summary}",
            f"Do not {'order' if moves_money else 'send it'} again. Tell the user to mend the journal; get_order with "
            "the key finds out what happened.",
            code="outcome_unknown",
            facts={"key": key, **{name: value for name, value in facts.items() if value is not None}},
        )
        told.money_may_have_moved = moves_money
        told.is_told = True
        return told

    def after_a_no(self, answered: str, key: str) -> "JournalError":
        """Return this error with the consequence that nothing was bought, although the journal does not show it."""
        if self.is_told:
            return self
        told = JournalError(f"{answered}, but the journal could not write it down. {self.summary}", facts={"key": key})
        told.is_told = True
        return told


class ZincUnreachableError(ZincMcpError):
    """No connection to Zinc: nothing of this request was sent, so nothing was bought by it."""

    default_code: ClassVar[ErrorCode] = "zinc_unreachable"
    default_next_step = "Call again in a minute with the same arguments."


class OrderNotFoundError(ZincMcpError):
    """This caller has no such order. Zinc answers the same for an unknown id and for somebody else's order."""

    default_code: ClassVar[ErrorCode] = "order_not_found"
    default_next_step = "Check the order id, or use the key that the placing call returned."


class OrderRejectedError(ZincMcpError):
    """Zinc answered no. `zinc_code` is one of Zinc's documented codes or `other`; `status` the HTTP status."""

    default_code: ClassVar[ErrorCode] = "order_rejected"
    default_next_step = "Change what Zinc objects to and call again."

    def __init__(
        self,
        summary: str,
        next_step: str | None = None,
        *,
        status: int,
        zinc_code: str,
        code: ErrorCode | None = None,
        facts: Mapping[str, Any] | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(
            summary,
            next_step,
            code=code,
            facts={"zinc_code": zinc_code, "http_status": status, **(facts or {})},
            problems=problems,
        )
        self.status = status
        self.zinc_code = zinc_code


class OrderAlreadyExistsError(OrderRejectedError):
    """409 `already_exists`: the key was used before. An order exists; the answer does not say how it ended."""

    default_code: ClassVar[ErrorCode] = "order_exists"

    def __init__(self, summary: str, *, status: int, zinc_code: str, identifiers: Sequence[str] = ()) -> None:
        super().__init__(summary, status=status, zinc_code=zinc_code)
        self.identifiers = tuple(identifiers)
        """The identifiers in the answer: the key, an order id, or both (the documents do not say which)."""


class OrderOutcomeUnknownError(ZincMcpError):
    """The order was sent and no usable answer came, so it may or may not have been placed."""

    default_code: ClassVar[ErrorCode] = "outcome_unknown"
    default_next_step = "Do not order again. Call get_order with the key to find out what happened."
    money_may_have_moved = True


class ChangeRejectedError(ZincMcpError):
    """Zinc answered no to a request that changes something about an order, and buys nothing."""

    default_code: ClassVar[ErrorCode] = "change_rejected"
    default_next_step = "Tell the user what Zinc objects to."


class ChangeOutcomeUnknownError(ZincMcpError):
    """A request that buys nothing was sent and no usable answer came, so it may or may not have taken effect."""

    default_code: ClassVar[ErrorCode] = "outcome_unknown"
    default_next_step = "Call get_order to see whether it took effect; do not send it again before."


class UnreadableAnswerError(ZincMcpError):
    """The answer to a read cannot be used (HTML, a redirect, too large, a 5xx)."""

    default_code: ClassVar[ErrorCode] = "zinc_unavailable"
    default_next_step = "Call again in a minute."

"""The sandbox and its dialect: one object, opened as an ASGI app or as an httpx transport."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from zinc_mcp.sandbox.ledger import Attempt, Ledger, Placed

if TYPE_CHECKING:
    import httpx
    from starlette.applications import Starlette

    from zinc_mcp.sandbox.agent_orders import Settle
    from zinc_mcp.sandbox.challenges import Payee, Settlement


@dataclass(frozen=True, slots=True)
class Dialect:
    """The sandbox's behaviour where Zinc's documents are silent or disagree.

    Each field is an open question, and its values are the possible answers. The defaults are the best supported ones.
    """

    listing: Literal["prompt", "lags", "unpaged", "unfiltered"] = "prompt"
    """`GET /orders`: up to date with `total`, `limit` and `offset` (SDK); new orders appear after 5 s; only `{orders}`
    and no paging (List Orders, February 2026); the metadata filter is ignored (releases before 8.21 had none)."""

    conflict_identifier: Literal["key", "order_id", "details_order_id", "none"] = "key"
    """The content of a 409 `already_exists`: the key (Idempotency page), the order's id (a third-party reading), the
    key and `details.order_id` (the restock agent), or nothing."""

    repeat: Literal["conflict_409", "unauthorized_401", "payment_402", "conflict_500"] = "conflict_409"
    """The answer to a used idempotency key (Idempotency page: 409). The order of checks is not documented, so another
    check may refuse the request first."""

    concurrent: Literal["serialised", "both_in_flight_409", "one_500"] = "serialised"
    """A second POST with a key while the first is being processed: it is a repeat, since check and insert are one step;
    or both are answered 409 although one order exists; or the second is answered 500."""

    keys: Literal["honoured", "ignored"] = "honoured"
    """The idempotency key: honoured, or `ignored`, which breaks Zinc's promise and which a client must notice."""

    validation: Literal["detail_list", "wrapped"] = "detail_list"
    """A 422's body: FastAPI's list (Create Order), or wrapped as `validation_error` in the error envelope."""

    address: Literal["error_400", "detail_422"] = "error_400"
    """An address that cannot be right ("USA", a four-digit ZIP, a line over 60): 400 `invalid_shipping_address`, or
    422 on the field."""

    errors: Literal["nested", "flat"] = "nested"
    """The error envelope: `{"error": {code, message, details}}` (SDK) or flat, as the docs pages print it."""

    insufficient_funds: Literal["status_402", "status_400"] = "status_402"
    """A short balance: 402 (measured), or 400 as the skill says of every synchronous sandbox error."""

    not_cancellable: Literal["status_422", "status_409", "status_400"] = "status_422"
    """The HTTP status of `order_not_cancellable` (seen handled as 422 by Zinc's sample app)."""

    challenges: Literal["separate", "folded"] = "separate"
    """The challenges of a 402: a header line for each, or one line with another scheme in between, as RFC 9110 and
    many a proxy have it."""

    challenge_digest: Literal["sdk", "draft", "absent"] = "sdk"
    """The digest of the body in a challenge: `sha-256=…` (the SDKs), `sha-256=:…:` (RFC 9530, the draft), or none (as
    captured in June 2026). Without it a paid request with another body costs its money and brings no order (SDK)."""

    method_query: Literal["honoured", "ignored"] = "honoured"
    """`?method=`: narrows the challenges to one (MPP page; not on the endpoint's own page), or is ignored."""

    payment_errors: Literal["envelope", "problem"] = "envelope"
    """A credential that does not hold: 402 in the error envelope, or as the draft's problem document."""

    agent_repeat: Literal["same_order", "conflict_409", "forbidden_403_replayed", "payment_402_fresh"] = "same_order"
    """The same credential again: the first answer once more, headers included (draft, "SHOULD"); 409; 403 as the SDKs
    answer a replay; or a fresh challenge. It is settled once in all of them."""

    agent_duplicate: Literal["kept_409", "unsettled_409", "early_409"] = "kept_409"
    """A used idempotency key with another payment: always 409, but the documents do not say when. After the second
    payment was settled, and its money is kept; before it is settled; or already to the unpaid request."""

    receipt: Literal["present", "absent", "odd"] = "present"
    """`Payment-Receipt`: the draft's, none, or `sandbox receipt=…` as Zinc's blog prints it."""

    order_key: Literal["present", "absent"] = "present"
    """The `X-Api-Key` of a 201."""

    @classmethod
    def parse(cls, text: str) -> "Dialect":
        """Read `listing=lags,keys=ignored`; an empty text is the default dialect.

        Raises:
            ValueError: for an unknown field or value; the text names it and those that exist.
        """
        chosen: dict[str, Any] = {}
        choices = cls.choices()
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (side.strip() for side in part.partition("="))
            if name not in choices:
                raise ValueError(f"no such dialect field: {name!r}; there are {', '.join(choices)}")
            if value not in choices[name]:
                raise ValueError(f"{name} cannot be {value!r}; it is one of {', '.join(choices[name])}")
            chosen[name] = value
        return replace(cls(), **chosen)

    @classmethod
    def choices(cls) -> dict[str, tuple[str, ...]]:
        """Return every field with its values, the default first."""
        hints = get_type_hints(cls)
        return {field.name: get_args(hints[field.name]) for field in fields(cls)}

    @classmethod
    def named(cls) -> Mapping[str, "Dialect"]:
        """Return the dialects for a fault campaign: `default`, and each single departure as `parse` spells it."""
        departures = [f"{name}={value}" for name, values in cls.choices().items() for value in values[1:]]
        return {"default": cls(), **{text: cls.parse(text) for text in departures}}

    def __str__(self) -> str:
        """Spell the departures from the default as `parse` reads them; `default` when there are none."""
        chosen = ((name, getattr(self, name), values[0]) for name, values in self.choices().items())
        return ",".join(f"{name}={value}" for name, value, usual in chosen if value != usual) or "default"


class Sandbox:
    """A practice Zinc. Orders advance with time, money is never real, and every `zn_test_` key is accepted."""

    def __init__(
        self,
        ledger: Path | None = None,
        *,
        dialect: Dialect | None = None,
        pace: float = 1.0,
        clock: Callable[[], float] = time.time,
        payees: "Sequence[Payee] | None" = None,
        challenge_seconds: float = 300.0,
        settle: "Settle | None" = None,
    ) -> None:
        """Open a sandbox.

        Args:
            ledger: the SQLite file that keeps the orders; several processes may share one. None keeps them in memory.
            dialect: how it answers where the documents are silent.
            pace: how many times faster than documented orders advance and faults wait.
            clock: seconds since the epoch; every process that shares a ledger must read the same one.
            payees: what a 402 offers instead of `challenges.PAYEES`.
            challenge_seconds: how long a challenge can be paid; the pace does not shorten it.
            settle: settles the payments of other wallets than the practice wallet; without it they do not verify.

        Raises:
            ValueError: if `pace` is not above zero.
            SettingsError: if the file cannot be used.
        """
        if not pace > 0:
            raise ValueError("pace must be above zero")
        self.ledger = Ledger(ledger)
        self.dialect = dialect or Dialect()
        self.pace = pace
        self.clock = clock
        self.payees = payees
        self.challenge_seconds = challenge_seconds
        self.settle = settle

    @cached_property
    def app(self) -> "Starlette":
        """The ASGI app. Some faults cut the connection, so serve it with `port.serve` or use `transport()`."""
        # Starlette and the endpoints are loaded with the first use of the app.
        from zinc_mcp.sandbox.app import build_app

        return build_app(self)

    def transport(self) -> "httpx.AsyncBaseTransport":
        """Return an httpx transport to this sandbox, in process, which answers for every origin."""
        from zinc_mcp.sandbox.app import SandboxTransport

        return SandboxTransport(self.app)

    def placed(self) -> list[Placed]:
        """Return every order, oldest first, for benches and tests."""
        return self.ledger.placed()

    def attempts(self) -> list[Attempt]:
        """Return every received `POST /orders` and `POST /agent/orders`, oldest first, with its outcome."""
        return self.ledger.attempts()

    def settlements(self) -> "list[Settlement]":
        """Return every payment that was taken, oldest first, with the amount refunded by now."""
        from zinc_mcp.sandbox.challenges import settlements

        return settlements(self.ledger, self.clock(), self.pace)

    @property
    def payment_secret(self) -> str:
        """The secret that binds the challenges, for a foreign verifier."""
        return self.ledger.secret

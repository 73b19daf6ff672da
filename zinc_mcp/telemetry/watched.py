"""The journal, the wire and the wallet of a watched process. They work as unwatched ones do, and report their steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import SecretStr

from zinc_mcp.journal.records.entry import Entry, Mode
from zinc_mcp.journal.runner import Runner
from zinc_mcp.network import Exchange, NetworkAnswer, NoAnswerError, NotSentError
from zinc_mcp.payments.headers import Challenge
from zinc_mcp.payments.terms import Charge
from zinc_mcp.payments.wallet import Fate, Paid, PaymentWallet
from zinc_mcp.telemetry.watch import Watch

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.journal.journal import Journal
    from zinc_mcp.proxies import Route

T = TypeVar("T")

WORDS = frozenset(
    {
        *("orders", "agent", "abort", "cancel", "return", "case", "timeline", "cancellations", "returns", "cases"),
        *("messages", "close", "search", "products", "offers", "details", "retailers", "check", "addax", "balance"),
        *("transactions", "wallet", "me", "health", "webhooks", "endpoint", "practice", "settlements"),
    }
)
"""The fixed words in the paths of Zinc's endpoints. Every other part of a path is an id or a name."""


class WatchedRunner(Runner):
    """A journal's threads whose work is a step of the call that waits for it."""

    def __init__(self, opener: Callable[[], Journal], watch: Watch, *, at_once: int = 1) -> None:
        """See `Runner`."""
        super().__init__(opener, at_once=at_once)
        self._watch = watch

    async def run(self, work: Callable[[Journal], T]) -> T:
        """See `Runner.run`."""
        with self._watch.step("journal", {"code.function.name": _name_of(work)}):
            return await super().run(work)

    async def find(self, handle: str, *, caller: str | None = None, mode: Mode | None = None) -> Entry | None:
        """See `Runner.find`."""
        with self._watch.step("journal", {"code.function.name": "find"}):
            return await super().find(handle, caller=caller, mode=mode)

    async def find_with_changes(self, handle: str, caller: str) -> tuple[Entry | None, bool]:
        """See `Runner.find_with_changes`."""
        with self._watch.step("journal", {"code.function.name": "find_with_changes"}):
            return await super().find_with_changes(handle, caller)

    async def read(self, entry_id: int) -> Entry:
        """See `Runner.read`."""
        with self._watch.step("journal", {"code.function.name": "read"}):
            return await super().read(entry_id)

    async def has_changes(self, order_id: str, caller: str, mode: Mode) -> bool:
        """See `Runner.has_changes`."""
        with self._watch.step("journal", {"code.function.name": "has_changes"}):
            return await super().has_changes(order_id, caller, mode)


class WatchedExchange(Exchange):
    """The connections to one of Zinc's services. Each request reports its method, the fixed words of its path, and the
    status of its answer, and no parameter, header or content.
    """

    def __init__(
        self,
        watch: Watch,
        service: str,
        origin: str,
        route: Route | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """See `Exchange`; `service` is our name for the service."""
        super().__init__(origin, route, transport=transport)
        self._watch = watch
        self._service = service

    async def ask(self, verb: str, path: str, headers: Mapping[str, str], **named: Any) -> NetworkAnswer:
        """See `Exchange.ask`."""
        template = template_of(path)
        facts = {"zinc_mcp.service": self._service, "http.request.method": verb, "url.template": template}
        answer, began = "cancelled", time.perf_counter()
        with self._watch.step("wire", facts) as step:
            try:
                found = await super().ask(verb, path, headers, **named)
            except NotSentError:
                answer = "not_sent"
                raise
            except NoAnswerError as error:
                answer = error.reason
                raise
            else:
                answer = f"{found.status // 100}xx"
                step.set({"http.response.status_code": found.status})
                return found
            finally:
                self._watch.asked_zinc(self._service, f"{verb} {template}", answer, time.perf_counter() - began)


class WatchedWallet(PaymentWallet):
    """A payment wallet whose work is a step of the call that waits for it."""

    def __init__(self, wallet: PaymentWallet, watch: Watch) -> None:
        """Watch a wallet."""
        self._wallet = wallet
        self._watch = watch
        self.mode = wallet.mode
        self.terms = wallet.terms

    async def warm(self) -> None:
        """See `PaymentWallet.warm`."""
        await self._wallet.warm()

    async def check(self) -> None:
        """See `PaymentWallet.check`."""
        await self._wallet.check()

    async def pay(self, challenge: Challenge, charge: Charge, *, now: float) -> Paid:
        """See `PaymentWallet.pay`."""
        with self._watch.step("wallet", {"code.function.name": "pay"}):
            return await self._wallet.pay(challenge, charge, now=now)

    async def fate(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """See `PaymentWallet.fate`."""
        with self._watch.step("wallet", {"code.function.name": "fate"}):
            return await self._wallet.fate(recovery, now=now, credential=credential)

    async def release(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """See `PaymentWallet.release`."""
        with self._watch.step("wallet", {"code.function.name": "release"}):
            return await self._wallet.release(recovery, now=now, credential=credential)

    async def aclose(self) -> None:
        """See `PaymentWallet.aclose`."""
        await self._wallet.aclose()


def template_of(path: str) -> str:
    """Return a path without its query, with `{}` instead of every part that is not in `WORDS`."""
    segments = path.partition("?")[0].split("/")
    return "/".join(each if each in WORDS or not each else "{}" for each in segments)


def _name_of(work: Callable[..., object]) -> str:
    """Return the name of a function, or of the function in which it is defined."""
    while isinstance(work, partial):
        work = work.func
    return str(getattr(work, "__qualname__", "?")).partition(".<locals>")[0]

"""The command wallet: a program of the owner reads the challenge on its input and writes the payload to its output.

    {"challenge": {"id", "realm", "method", "intent", "request": {…}, "expires"}, "amount_cents": 2600}
    {"payload": {"spt": "spt_…"}, "source": "did:…"}          or          {"refused": true}

The program is started without a shell, without our secrets in its environment, and with a time limit. If it says
`refused`, it has authorised nothing. If it fails in any other way, it may have authorised something, and is never asked
again for the same order.
"""

import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import anyio
from anyio.abc import Process
from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.payments.failures import InvalidChallengeError, PaymentOutcomeUnknownError, PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, Credential, strict_object
from zinc_mcp.payments.tempo_chain import FEE_TOKENS, inspect
from zinc_mcp.payments.terms import Charge, MethodTerms
from zinc_mcp.payments.wallet import Paid, PaymentWallet

MAX_ANSWER_BYTES = 64 * 1024
_LEFT_TO_SEND_SECONDS = 15.0
"""The time that the program must leave for sending the credential before the challenge expires."""
_STRIPE_TOKEN = re.compile(r"spt_[A-Za-z0-9_]{1,250}")
_OURS = re.compile(r"^ZINC_", re.IGNORECASE)


class CommandWallet(PaymentWallet):
    """Asks a program to pay. There is no way to look up or take back its payments: the owner settles them.

    The owner's command is `orders resolve`. A token of the program expires by itself.
    """

    def __init__(self, command: str, accepted: Mapping[str, MethodTerms], *, seconds: float = 300.0) -> None:
        try:
            self._argv = shlex.split(command)
        except ValueError:
            raise SettingsError("ZINC_WALLET_COMMAND has a quote that is never closed.") from None
        if not self._argv:
            raise SettingsError("ZINC_WALLET_COMMAND names no program.")
        self.terms = dict(accepted)
        self._seconds = seconds

    async def check(self) -> None:
        """Look for the program; it is not started.

        Raises:
            SettingsError: no such program can be started.
        """
        if shutil.which(self._argv[0]) is None:
            raise SettingsError("ZINC_WALLET_COMMAND names a program that cannot be found or started.")

    async def pay(self, challenge: Challenge, charge: Charge, *, now: float) -> Paid:
        """Start the program once and take its payload; raises as `PaymentWallet.pay`."""
        seconds = min(self._seconds, charge.expires_at - now - _LEFT_TO_SEND_SECONDS)
        if seconds <= 0:
            raise PaymentRefusedError("expires_too_soon")
        question = {
            "challenge": {
                "id": challenge.id,
                "realm": challenge.realm,
                "method": challenge.method,
                "intent": challenge.intent,
                "request": dict(challenge.charge_request.members),
                "expires": challenge.expires,
            },
            "amount_cents": charge.amount_cents,
        }
        recovery: dict[str, Any] = {
            "wallet": "command",
            "method": challenge.method,
            "challenge_id": challenge.id,
            "expires_at": math.ceil(charge.expires_at),
        }
        try:
            answer = strict_object((await self._ask(json.dumps(question).encode(), seconds, recovery)).decode())
        except (UnicodeDecodeError, InvalidChallengeError):
            raise PaymentOutcomeUnknownError("unreadable_answer", recovery) from None
        if answer.get("refused") is True and "payload" not in answer:
            raise PaymentRefusedError("wallet_refused")
        payload, settle_by = _checked(answer, challenge, charge, now, recovery)
        source = answer.get("source")
        try:
            authorization = Credential(
                challenge, payload, source if isinstance(source, str) else None
            ).to_authorization()
        except ValueError:
            raise PaymentOutcomeUnknownError("unreadable_answer", recovery) from None
        return Paid(SecretStr(authorization), charge.header, settle_by, None, recovery)

    async def _ask(self, question: bytes, seconds: float, recovery: Mapping[str, Any]) -> bytes:
        environment = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
        try:
            process = await anyio.open_process(
                # Its standard error may hold its secrets.
                self._argv,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError):
            raise PaymentRefusedError("wallet_unavailable") from None
        try:
            with anyio.fail_after(seconds):
                answer = await _conversation(process, question)
                status = None if answer is None else await process.wait()
        except TimeoutError:
            raise PaymentOutcomeUnknownError("wallet_timed_out", recovery) from None
        finally:
            with anyio.CancelScope(shield=True):
                _end(process)
                await process.aclose()
        if answer is None:
            raise PaymentOutcomeUnknownError("answer_too_long", recovery)
        if status != 0:
            raise PaymentOutcomeUnknownError("wallet_failed", recovery)
        return answer


async def _conversation(process: Process, question: bytes) -> bytes | None:
    """Write the question and return the answer; None if the answer is too long."""
    if process.stdin is None or process.stdout is None:
        return None
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError, ConnectionError):
        await process.stdin.send(question)
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError, ConnectionError):
        await process.stdin.aclose()
    answer = bytearray()
    async for chunk in process.stdout:
        answer += chunk
        if len(answer) > MAX_ANSWER_BYTES:
            return None
    return bytes(answer)


def _end(process: Process) -> None:
    """End the program and its children, unless it has ended by itself."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _checked(
    answer: Mapping[str, Any], challenge: Challenge, charge: Charge, now: float, recovery: dict[str, Any]
) -> tuple[dict[str, Any], float]:
    """Check a payload as far as its method is known. Return it, and the end of its validity (seconds since the epoch).

    The program may have authorised something by now, so a wrong payload leaves the outcome unknown.
    """
    payload = answer.get("payload")
    if not isinstance(payload, dict) or not payload:
        raise PaymentOutcomeUnknownError("no_payload", recovery)
    members = cast(dict[str, Any], payload)
    # The program has already paid by itself, and perhaps no order follows (draft-tempo-charge-01, "push").
    if members.get("type") in ("hash", "proof") or "hash" in members:
        raise PaymentOutcomeUnknownError("push_payload", recovery)
    if challenge.method == "stripe":
        token = members.get("spt")
        if not isinstance(token, str) or not _STRIPE_TOKEN.fullmatch(token):
            raise PaymentOutcomeUnknownError("malformed_payload", recovery)
        # draft-stripe-charge-00: the seller's own reference is echoed when it gave one.
        if charge_reference := challenge.charge_request.external_id:
            members = {**members, "externalId": charge_reference}
    if challenge.method == "tempo":
        signed = members.get("signature")
        if members.get("type") != "transaction" or not isinstance(signed, str):
            raise PaymentOutcomeUnknownError("malformed_payload", recovery)
        try:
            transfer = inspect(
                signed,
                charge,
                now,
                fee_tokens=(charge.currency, *FEE_TOKENS),
                lifetime_seconds=charge.expires_at + 1 - now,
            )
        except PaymentRefusedError:
            raise PaymentOutcomeUnknownError("wrong_transaction", recovery) from None
        recovery["valid_before"] = transfer.valid_before
        return members, float(transfer.valid_before)
    return members, charge.expires_at

"""A person's PIN: kept as a slow hash, and held against what is typed at a speed that leaves nothing to guessing."""

import hashlib
import hmac
import math
import secrets
import time
from typing import TYPE_CHECKING

import anyio.to_thread

from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.decision import PinAsked, PinTry, Place

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal
    from zinc_mcp.journal.runner import Runner

MIN_LENGTH = 6
"""Of a new one. Shorter ones that were set before work until they are changed."""
_COST = {"n": 2**14, "r": 8, "p": 1}
_MOST_BYTES = 1024


def hashed(pin: str) -> str:
    """Return what to keep of a PIN: scrypt, its cost, a salt of its own and the hash."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_COST['n']}${_COST['r']}${_COST['p']}${salt.hex()}${_scrypt(pin, salt, **_COST).hex()}"


def matches(kept: str, pin: str) -> bool:
    """Say whether this is the PIN that was kept; what cannot be read as one matches nothing."""
    try:
        scheme, n, r, p, salt, digest = kept.split("$")
        if scheme != "scrypt":
            return False
        return hmac.compare_digest(bytes.fromhex(digest), _scrypt(pin, bytes.fromhex(salt), int(n), int(r), int(p)))
    except (ValueError, OverflowError):
        return False


async def asked_pin(runner: "Runner", caller: str) -> PinAsked | None:
    """Return the PIN that a caller's yes needs: their own, otherwise the owner's; None where neither is set.

    Raises:
        JournalError: the journal cannot be read.
    """
    return await runner.run(lambda journal: journal.asked_pin(caller))


async def check_pin(runner: "Runner", caller: str, place: Place, given: str | None, now: float) -> None:
    """Hold a yes against the PIN that it needs, where one is set: the caller's own, otherwise the owner's.

    A try is written down before it is looked at, over all orders. After a few wrong ones the next has to wait, up to
    a quarter of an hour.

    Args:
        runner: the journal's thread.
        caller: whose yes it is; in a terminal always the owner's.
        place: where it was typed. Wrong ones are counted for each place apart.
        given: the PIN as it was typed; None where none was.
        now: seconds since the epoch.

    Raises:
        RefusedError: `approval_required`: it is missing, wrong, or came too early.
        JournalError: the try cannot be written down.
    """
    if not given:
        if await asked_pin(runner, caller) is not None:
            raise _needed()
        return
    tried = await runner.run(lambda journal: journal.count_pin_try(caller, place, now))
    if tried is None:
        return
    if not tried.looked_at:
        raise _too_early(tried, now)
    if not await anyio.to_thread.run_sync(matches, tried.asked.kept, given):
        raise _wrong(tried, now)
    await runner.run(lambda journal: journal.pin_was_right(tried))


def check_owner_pin(journal: "Journal", given: str, now: float) -> None:
    """Hold what the owner typed in a terminal against their PIN, as `check_pin` does.

    Raises:
        RefusedError: `approval_required`: it is wrong, or came too early.
        JournalError: the try cannot be written down.
    """
    tried = journal.count_pin_try(place="terminal", now=now)
    if tried is None:
        return
    if not tried.looked_at:
        raise _too_early(tried, now)
    if not matches(tried.asked.kept, given):
        raise _wrong(tried, now)
    journal.pin_was_right(tried)


def notices(asked: PinAsked, place: Place, now: float) -> list[str]:
    """Return what whoever is asked for a PIN there has to know: that it ends, that a wait runs."""
    free_at = asked.free_at(place)
    told = [] if asked.ends is None else [notice(asked.ends, now)]
    return told if free_at is None else [*told, wait_notice(free_at, now)]


def notice(ends: float, now: float) -> str:
    """Say that the PIN is going to end, to whoever is asked for it."""
    hours = max(1, int(ends - now + 3599) // 3600)
    return (
        f"Somebody said that the PIN is forgotten, so it ends in {hours} hour{'' if hours == 1 else 's'}. "
        "The right PIN, given with any yes before that, keeps it."
    )


def wait_notice(free_at: float, now: float) -> str:
    """Say from when on the next PIN is looked at."""
    seconds = math.ceil(free_at - now)
    left = f"{seconds} seconds" if seconds < 100 else f"{(seconds + 59) // 60} minutes"
    then = time.strftime("%H:%M:%S", time.gmtime(math.ceil(free_at)))
    return f"The next PIN is looked at in {left}, from {then} UTC on."


def _needed() -> RefusedError:
    return _refused("A yes needs the PIN, on the approval page or in a terminal.")


def _too_early(tried: PinTry, now: float) -> RefusedError:
    return _refused("Wrong PINs were given, so this one was not looked at.", tried.free_at, now)


def _wrong(tried: PinTry, now: float) -> RefusedError:
    return _refused("That was not the PIN.", tried.free_at, now)


def _refused(summary: str, free_at: float | None = None, now: float = 0.0) -> RefusedError:
    facts = {} if free_at is None else {"wait_seconds": math.ceil(free_at - now)}
    then = "" if free_at is None else f" {wait_notice(free_at, now)}"
    next_step = "Nothing was sent; the question still stands."
    return RefusedError(f"{summary}{then}", next_step, code="approval_required", facts=facts)


def _scrypt(pin: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(pin.encode("utf-8", "surrogatepass")[:_MOST_BYTES], salt=salt, n=n, r=r, p=p, dklen=32)

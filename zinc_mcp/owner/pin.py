"""A person's PIN: a slow hash is kept, and tries are so slow that guessing does not help."""

import hashlib
import hmac
import math
import secrets
import time
from typing import TYPE_CHECKING

import anyio.to_thread

from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.decision import PinAsked, PinTry, Place

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal
    from zinc_mcp.journal.runner import Runner

MIN_LENGTH = 6
"""The least length of a new PIN. A shorter one that was set earlier works until it is changed."""
_COST = {"n": 2**14, "r": 8, "p": 1}
_MOST_BYTES = 1024


def hashed(pin: str) -> str:
    """Return the text to keep for a PIN: `scrypt`, its cost, a random salt and the hash."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_COST['n']}${_COST['r']}${_COST['p']}${salt.hex()}${_scrypt(pin, salt, **_COST).hex()}"


def matches(kept: str, pin: str) -> bool:
    """Say whether a kept text is that of this PIN. A text that cannot be read matches no PIN."""
    try:
        scheme, n, r, p, salt, digest = kept.split("$")
        if scheme != "scrypt":
            return False
        return hmac.compare_digest(bytes.fromhex(digest), _scrypt(pin, bytes.fromhex(salt), int(n), int(r), int(p)))
    except (ValueError, OverflowError):
        return False


async def asked_pin(runner: "Runner", caller: str) -> PinAsked | None:
    """Return the PIN that a caller's yes needs: their own, otherwise the owner's; None if neither is set.

    Raises:
        JournalError: the journal cannot be read.
    """
    return await runner.run(lambda journal: journal.asked_pin(caller))


async def check_pin(runner: "Runner", caller: str, place: Place, given: str | None, now: float) -> None:
    """Check the PIN that came with a yes, if a PIN is set: the caller's own, otherwise the owner's.

    Each try is counted in the journal before the PIN is compared. Tries for different orders count together. After a
    few wrong PINs the next try has to wait, up to a quarter of an hour.

    Args:
        runner: the journal's thread.
        caller: the caller who said yes; in a terminal always the owner.
        place: where the PIN was typed. Wrong PINs are counted for each place by itself.
        given: the PIN as it was typed; None if none was.
        now: seconds since the epoch.

    Raises:
        RefusedError: `approval_required`: the PIN is missing, wrong, or came too early.
        JournalError: the try cannot be counted.
    """
    if not given:
        if await asked_pin(runner, caller) is not None:
            raise _refused("A yes needs the PIN, on the approval page or in a terminal.")
        return
    tried = await runner.run(lambda journal: journal.count_pin_try(caller, place, now))
    if tried is not None:
        await anyio.to_thread.run_sync(_compare, tried, given, now)
        await runner.run(lambda journal: journal.pin_was_right(tried))


def check_owner_pin(journal: "Journal", given: str, now: float) -> None:
    """Check the PIN that the owner typed in a terminal, as `check_pin` does.

    Raises:
        RefusedError: `approval_required`: the PIN is wrong, or came too early.
        JournalError: the try cannot be counted.
    """
    tried = journal.count_pin_try(place="terminal", now=now)
    if tried is not None:
        _compare(tried, given, now)
        journal.pin_was_right(tried)


def notices(asked: PinAsked, place: Place, now: float) -> list[str]:
    """Return notices for a person who is asked for a PIN: that the PIN ends, and that the next try has to wait."""
    free_at = asked.free_at(place)
    told = [] if asked.ends is None else [notice(asked.ends, now)]
    return told if free_at is None else [*told, wait_notice(free_at, now)]


def notice(ends: float, now: float) -> str:
    """Return a notice that the PIN is going to end."""
    hours = max(1, int(ends - now + 3599) // 3600)
    return (
        f"Somebody said that the PIN is forgotten, so it ends in {hours} hour{'' if hours == 1 else 's'}. "
        "The right PIN, given with any yes before that, keeps it."
    )


def wait_notice(free_at: float, now: float) -> str:
    """Return a notice of the time from which the next PIN is compared."""
    seconds = math.ceil(free_at - now)
    left = f"{seconds} seconds" if seconds < 100 else f"{(seconds + 59) // 60} minutes"
    then = time.strftime("%H:%M:%S", time.gmtime(math.ceil(free_at)))
    return f"The next PIN is looked at in {left}, from {then} UTC on."


def _compare(tried: PinTry, given: str, now: float) -> None:
    if not tried.looked_at:
        raise _refused("Wrong PINs were given, so this one was not looked at.", tried.free_at, now)
    if not matches(tried.asked.kept, given):
        raise _refused("That was not the PIN.", tried.free_at, now)


def _refused(summary: str, free_at: float | None = None, now: float = 0.0) -> RefusedError:
    facts = {} if free_at is None else {"wait_seconds": math.ceil(free_at - now)}
    then = "" if free_at is None else f" {wait_notice(free_at, now)}"
    next_step = "Nothing was sent; the question still stands."
    return RefusedError(f"{summary}{then}", next_step, code="approval_required", facts=facts)


def _scrypt(pin: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(pin.encode("utf-8", "surrogatepass")[:_MOST_BYTES], salt=salt, n=n, r=r, p=p, dklen=32)

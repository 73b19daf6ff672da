"""The waiting part of `zinc-mcp login`: the code, the link, the browser, and polls until a person has decided."""

import os
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

import anyio
import anyio.to_thread
import click
from pydantic import SecretStr

from zinc_mcp.cli.screen import columns, show_line
from zinc_mcp.errors import RefusedError, UnreadableAnswerError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.owner.settings import Settings
from zinc_mcp.private_files import make_folder, open_file
from zinc_mcp.server.pages.browser import has_desktop, show_in_browser
from zinc_mcp.zinc.account.sign_in import MAX_WAIT_SECONDS, DeviceCode, IssuedKey, Waiting, poll, start
from zinc_mcp.zinc.client import ZincClient

SIGN_IN_SECONDS = 15.0
"""The longest time for one request of a sign-in."""
_SLOWER_SECONDS = 5.0
"""`slow_down` adds this to the interval of all later polls (RFC 8628, section 3.5)."""
_BACKOFF_SECONDS = 30.0
_OPENER = "sign-in-*.html"
_DOCUMENT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={link}"><title>Signing in to Zinc</title></head>
<body><p><a href="{link}">Go on to the page of Zinc</a></p></body></html>
"""


@dataclass
class _Waiting:
    """The state of a sign-in while a person decides."""

    interval_seconds: float
    ends: float
    has_lost_an_answer: bool = False
    is_unreachable: bool = False


def sign_in(settings: Settings, name: str, test_key: SecretStr | None) -> IssuedKey | None:
    """Show a code and wait for the person; return None after Ctrl-C or a signal to stop.

    An answer that is under way when the signal comes is still read, because only one answer holds the key.

    Raises:
        ZincMcpError: there is no key: denied, expired, or Zinc cannot be used.
    """
    ended = anyio.run(_signed_in, settings, name, test_key)
    if isinstance(ended, ZincMcpError):
        raise ended
    return ended


async def _signed_in(settings: Settings, name: str, test_key: SecretStr | None) -> IssuedKey | ZincMcpError | None:
    client = ZincClient(settings.api_url, route=settings.route, wire_seconds=SIGN_IN_SECONDS)
    try:
        return await _until_a_signal(partial(_asked, client, settings, name, test_key))
    finally:
        await client.aclose()


async def _asked(
    client: ZincClient, settings: Settings, name: str, test_key: SecretStr | None
) -> IssuedKey | ZincMcpError:
    """Show a code to the person, and wait for their answer. An error is returned: a task group would wrap it."""
    try:
        code = await start(client, name, test_key)
    except ZincMcpError as error:
        return error
    _show(code)
    opener = await anyio.to_thread.run_sync(_open_browser, settings, code)
    try:
        return await _key_of(client, code)
    finally:
        if opener is not None:
            with suppress(OSError):
                opener.unlink(missing_ok=True)


def _show(code: DeviceCode) -> None:
    click.echo("Open this page, sign in to Zinc there, and say yes if it shows the same code:\n")
    click.echo(f"  {code.link}")  # on a line of its own, and never broken: it is clicked or copied
    click.echo(f"\n  code: {code.user_code}\n")


def _open_browser(settings: Settings, code: DeviceCode) -> Path | None:
    """Open the page where there is a desktop. The code stands in a file of the owner, and in no argument of a program.

    Another user of the machine could read an argument, and say yes with an account of their own.
    """
    if not settings.browser or not has_desktop(os.environ):
        return None
    path = settings.home / _OPENER.replace("*", secrets.token_hex(8))
    try:
        make_folder(settings.home)
        for left in settings.home.glob(_OPENER):  # left by a process that was killed; its code has ended since
            if time.time() - left.stat().st_mtime > MAX_WAIT_SECONDS:
                left.unlink(missing_ok=True)
        with open(open_file(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY), "w", encoding="utf-8") as file:
            file.write(_DOCUMENT.format(link=escape(code.link)))
    except OSError:
        return None
    if show_in_browser(path):
        click.echo("It is open in your browser.")
    return path


async def _until_a_signal(
    work: Callable[[], Awaitable[IssuedKey | ZincMcpError]],
) -> IssuedKey | ZincMcpError | None:
    """Do some work to its end, or until somebody wants this program to stop."""
    if sys.platform == "win32":
        return await work()
    ended: IssuedKey | ZincMcpError | None = None
    failed: OSError | None = None
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:

            async def listen() -> None:
                async for _ in signals:
                    tasks.cancel_scope.cancel()
                    return

            tasks.start_soon(listen)
            try:
                ended = await work()
            except OSError as error:  # the output is closed; raised below, because the group would wrap it
                failed = error
            tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed
    return ended


async def _key_of(client: ZincClient, code: DeviceCode) -> IssuedKey | ZincMcpError:
    """Poll until there is a key, or a reason why there will be none."""
    waiting = _Waiting(code.interval_seconds, time.monotonic() + code.expires_seconds)
    shown = _Countdown(waiting.ends)
    try:
        while True:
            await shown.sleep(waiting.interval_seconds)
            is_last = time.monotonic() > waiting.ends
            answer = await _polled(client, code)
            if isinstance(answer, IssuedKey | ZincMcpError):
                return answer
            if answer == "denied":
                return RefusedError("The answer on Zinc's page was no, so there is no key.", owner_step=_again())
            waiting.has_lost_an_answer |= answer == "lost"
            if answer == "expired" or is_last:
                return _expired(waiting)
            if answer in ("unreachable", "lost"):
                shown.say("Zinc does not answer just now; trying on.", once=not waiting.is_unreachable)
            waiting.is_unreachable = answer in ("unreachable", "lost")
            if answer == "slow_down":
                waiting.interval_seconds += _SLOWER_SECONDS
            elif waiting.is_unreachable:
                waiting.interval_seconds = max(
                    waiting.interval_seconds, min(2 * waiting.interval_seconds, _BACKOFF_SECONDS)
                )
    finally:
        shown.end()


async def _polled(client: ZincClient, code: DeviceCode) -> IssuedKey | Waiting | ZincMcpError:
    """Poll once, without being cancelled: a key would be lost with an answer that is not read."""
    answer: IssuedKey | Waiting | ZincMcpError = "lost"
    with anyio.CancelScope(shield=True):
        try:
            answer = await poll(client, code)
        except ZincMcpError as error:
            answer = error
    return answer


def _expired(waiting: _Waiting) -> ZincMcpError:
    if waiting.has_lost_an_answer:
        return UnreadableAnswerError(
            "The code has ended, and an answer of Zinc was lost while it stood. If you had said yes, Zinc may have "
            "made a key that never arrived here.",
            owner_step=f"Look at your keys at Zinc and remove such a one. {_again()}",
        )
    return RefusedError("The code has ended, and there is no key.", owner_step=_again())


def _again() -> str:
    return f"Nothing was kept. This begins anew: {command('login')}"


class _Countdown:
    """Shows how long the code stands: on a terminal each second in one line, else once."""

    def __init__(self, ends: float) -> None:
        self._ends = ends
        self._moves = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        if not self._moves:
            minutes = max(1, round((ends - time.monotonic()) / 60))
            click.echo(
                f"Waiting for your answer, up to {minutes} minute{'' if minutes == 1 else 's'}. Ctrl-C stops it."
            )

    async def sleep(self, seconds: float) -> None:
        """Wait, and count down meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._show()
            await anyio.sleep(min(left, 1.0) if self._moves else left)

    def say(self, sentence: str, *, once: bool) -> None:
        """Print a line between the counts, unless it was said already."""
        if once:
            self.end()
            show_line(sentence)

    def end(self) -> None:
        """Remove the count from the screen."""
        if self._moves:
            click.echo("\r\x1b[K", nl=False)

    def _show(self) -> None:
        if self._moves:
            left = max(0, round(self._ends - time.monotonic()))
            count = f"Waiting for your answer: {left // 60}:{left % 60:02d} left. Ctrl-C stops it."
            # A line that the terminal breaks could not be taken back.
            click.echo(f"\r\x1b[K{count[: columns() - 1]}", nl=False)

"""Delivering one message: to the owner's address, signed, or to the owner's command. The result is told.

The address gets one POST with the JSON. Redirects are not followed and the answer is not read beyond its status. The
signature is HMAC-SHA256 over the time, a full stop and the body:

    X-Zinc-MCP-Timestamp: 1795000000
    X-Zinc-MCP-Signature: v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd

The command gets the JSON on its standard input. It is started without a shell and without our variables, and its
output is not read.
"""

import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import anyio
from anyio.abc import Process
from pydantic import SecretStr

from zinc_mcp.network import Exchange, NoAnswerError, NotSentError
from zinc_mcp.owner.notify import Notify
from zinc_mcp.proxies import Route

if TYPE_CHECKING:
    import httpx

SECONDS = 10.0
"""The longest time for one message."""
MAX_ANSWER_BYTES = 64 * 1024
"""No more than this is read of an address's answer."""
TIMESTAMP = "X-Zinc-MCP-Timestamp"
SIGNATURE = "X-Zinc-MCP-Signature"
_OURS = re.compile(r"^ZINC_", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The result of one message."""

    ending: Literal["taken", "not_taken", "unanswered"]
    """`unanswered`: it went out, and nobody knows whether it was read."""
    said: str
    """The result in words for a person, with the reason."""


async def deliver(
    notify: Notify, message: Mapping[str, Any], *, route: Route, at: float, seconds: float = SECONDS
) -> Delivered:
    """Deliver a message once, within `seconds`."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    if notify.url is None:
        return await _run(notify.command, body, seconds)
    return await _post(notify.url, notify.secret, body, message, route, at, seconds)


def signature(secret: SecretStr, timestamp: str, body: bytes) -> str:
    """Return the signature of a message."""
    signed = hmac.new(secret.get_secret_value().encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1={signed.hexdigest()}"


async def _post(
    url: SecretStr,
    secret: SecretStr | None,
    body: bytes,
    message: Mapping[str, Any],
    route: Route,
    at: float,
    seconds: float,
) -> Delivered:
    timestamp = str(int(at))
    headers = {"Content-Type": "application/json", TIMESTAMP: timestamp, "X-Zinc-MCP-Id": str(message["id"])}
    if secret is not None:
        headers[SIGNATURE] = signature(secret, timestamp, body)
    status: list[int] = []

    async def on_headers(answered: int, _headers: "httpx.Headers") -> None:
        status.append(answered)

    exchange = Exchange(url.get_secret_value(), route)
    try:
        await exchange.ask(
            "POST", "", headers, seconds=seconds, content=body, most_bytes=MAX_ANSWER_BYTES, on_headers=on_headers
        )
    except NotSentError as error:
        return Delivered("not_taken", f"it could not be sent: {error.because or 'no connection'}")
    except NoAnswerError as error:
        if not status:  # otherwise only the rest of the answer is missing, which nobody reads
            slow = error.reason == "timeout"
            return Delivered("unanswered", "no answer came in time" if slow else "the answer was lost")
    finally:
        with anyio.CancelScope(shield=True):
            await exchange.aclose()
    answered = status[0]
    if 200 <= answered < 300:
        return Delivered("taken", f"the address answered HTTP {answered}")
    moved = " (a redirect, which is not followed)" if 300 <= answered < 400 else ""
    return Delivered("not_taken", f"the address answered HTTP {answered}{moved}")


async def _run(argv: tuple[str, ...], body: bytes, seconds: float) -> Delivered:
    environment = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    try:
        process = await anyio.open_process(
            argv,
            stdout=subprocess.DEVNULL,  # ours is the protocol's
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError):
        return Delivered("not_taken", "the command could not be started")
    try:
        with anyio.fail_after(seconds):
            await _hand_over(process, body)
            code = await process.wait()
    except TimeoutError:
        return Delivered("unanswered", f"the command did not end within {seconds:g} seconds, so it was ended")
    finally:
        with anyio.CancelScope(shield=True):
            _end(process)
            await process.aclose()
    if code != 0:
        return Delivered("not_taken", f"the command ended with code {code}")
    return Delivered("taken", "the command ended with code 0")


async def _hand_over(process: Process, body: bytes) -> None:
    if process.stdin is None:
        return
    # A command that does not read its input may all the same have done what it is for.
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError, ConnectionError):
        await process.stdin.send(body)
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError, ConnectionError):
        await process.stdin.aclose()


def _end(process: Process) -> None:
    """End the command and its children, unless it has ended by itself."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()

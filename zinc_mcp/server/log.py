"""The log on stderr: warnings, and if the owner wants it a line for each call, as text or as JSON.

It holds nothing about a person or an order: no arguments, no addresses, no texts of others, no secrets. Of an
unforeseen error it shows the kind and the places in our code, and not its text, which may quote anything.
"""

import json
import logging
import time
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any, cast

CALLS = "zinc_mcp.calls"
"""The logger of the lines about calls."""
FACTS = "facts"
"""The attribute of a record that holds the facts of its line."""

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MOST_FRAMES = 30


def log_to_stderr(form: str | None = None) -> None:
    """Send the log to stderr: warnings, and no content of a message or a request.

    Called before a server is built: otherwise the SDK's constructor sets the root logger up in its own way.

    Args:
        form: `text` or `json`, with a line for each call; None: text, without those of calls that went well.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text(_FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger(CALLS).setLevel(logging.WARNING if form is None else logging.INFO)
    # With debugging on, these log addresses and headers (an order's own key among them).
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # These two show a message that could not be parsed, or a header as it came.
    logging.getLogger("mcp.server.sse").setLevel(logging.CRITICAL)
    logging.getLogger("mcp.server.transport_security").setLevel(logging.CRITICAL)
    # This one logs the ids of sessions. A program that has an id and a token can speak in that session.
    logging.getLogger("mcp.server.streamable_http_manager").setLevel(logging.ERROR)


class _Text(logging.Formatter):
    """One line for a record, with the facts of a call as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        text = super().format(record)
        facts = _facts(record)
        # The facts stand in the first line; the places of an error follow.
        first, *rest = text.split("\n", 1)
        return "\n".join(["".join([first, *(f" {name}={value}" for name, value in facts.items())]), *rest])

    def formatException(self, ei: Any) -> str:
        """Return the places of an error, and its kind."""
        return "\n".join(f"  {line}" for line in _places(ei))


class _Json(logging.Formatter):
    """One JSON object on a line for a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["error"] = _places(record.exc_info)
        return json.dumps(line)


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(record, FACTS, {})
    return found


def _places(
    of: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
) -> list[str]:
    """Return the places of an error's stack, and its kind; of a group, those of its first error."""
    kind, error, stack = of
    if kind is None:
        return []
    frames = traceback.extract_tb(stack)[-_MOST_FRAMES:]
    lines = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    lines.append(f"{kind.__module__}.{kind.__qualname__}")
    if isinstance(error, BaseExceptionGroup):
        first = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
        lines += _places((type(first), first, first.__traceback__))
    return lines

"""Text on a person's screen: lines that fit, commands to paste, and advice for each failure that we foresee.

Foreign text never begins a line, so it cannot look like ours. An error's own `next_step` is written for a model: it
names tools and speaks of the user. A person gets `advice` instead.
"""

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

import click
from rich.cells import cell_len

from zinc_mcp.errors import ErrorCode, OrderRejectedError, RefusedError, ZincMcpError
from zinc_mcp.invocation import command, command_line, invocation, setting_to_repeat
from zinc_mcp.text import plain

_CONTINUED = "      "
_PIPED_COLUMNS = 80
_FEWEST_COLUMNS = 20


def columns(stream: TextIO | None = None) -> int:
    """Return the width of the terminal in columns; 80 where there is no terminal."""
    if not (stream or sys.stdout).isatty():
        return _PIPED_COLUMNS
    return max(_FEWEST_COLUMNS, shutil.get_terminal_size((_PIPED_COLUMNS, 24)).columns)


def is_plain() -> bool:
    """Say whether the output gets neither colours nor movement: a pipe, `NO_COLOR` (no-color.org), a dumb terminal."""
    return not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or is_dumb()


def is_dumb() -> bool:
    """Say whether the terminal understands no control sequences."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def need_a_terminal() -> None:
    """Refuse unless both input and output are a terminal, where a person can be.

    Raises:
        RefusedError: `approval_required`.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RefusedError(
            "This needs a terminal with a person at it, so nothing was changed.",
            owner_step="Run it in a terminal of your own, without a pipe.",
            code="approval_required",
        )


def show_line(line: str, continued: str = _CONTINUED) -> None:
    """Print a line whose parts are already clean.

    On a terminal a long line is broken here, and each further line begins with `continued`. A terminal that breaks a
    line by itself would begin the next line with any text, which could look like a line of ours.
    """
    for each in _lines(line, continued):
        click.echo(each)


def show_sentences(text: str, indent: str = "", *, err: bool = False) -> None:
    """Print sentences of ours, in which commands of ours may stand in backticks.

    On a terminal that is too narrow for all of it, each command gets a line of its own: a broken one cannot be pasted.
    """
    stream: TextIO = sys.stderr if err else sys.stdout
    text = f"{indent}{text}"
    is_short = cells(text) <= columns(stream)
    for part in [text] if is_short or not stream.isatty() else _apart(text):
        is_command = part.startswith(f"{invocation()} ")
        for line in [f"{indent}  {part}"] if is_command else _lines(f"{indent}{part.strip()}", indent, stream):
            click.echo(visible_only(line), err=err)


def show_failure(error: ZincMcpError) -> None:
    """Print an error and the owner's next step to stderr."""
    for line in _lines(f"zinc-mcp: {plain(error.summary, 600)}", _CONTINUED, sys.stderr):
        click.echo(line, err=True)
    show_sentences(plain(advice(error), 1200), err=True)


def _apart(text: str) -> Iterator[str]:
    """Yield the prose and the commands of a text in turn, without the punctuation that is around a command."""
    for part in re.split(rf"\(?`({re.escape(invocation())} [^`]*)`\)?", text):
        if part.strip(" .,;:"):
            yield part.lstrip(" .,;")


def _lines(text: str, continued: str, stream: TextIO | None = None) -> list[str]:
    is_screen = (stream or sys.stdout).isatty()
    return wrapped(visible_only(text), columns(stream), continued) if is_screen else [visible_only(text)]


def show_command(*words: str, options: Sequence[str] = (), given: Sequence[str] = ()) -> None:
    """Print one of our commands on a line of its own. It is never broken: a broken line cannot be pasted.

    `given` are words that a model may have written, as for `invocation.command`.
    """
    click.echo(f"  {command_line(*words, *options, given=given)}")
    if remark := setting_to_repeat():
        click.echo(f" {remark}")


def wrapped(text: str, width: int, continued: str = "") -> list[str]:
    """Break text at its spaces into lines of at most `width` columns.

    Lines after the first begin with `continued`. A word is broken only if it is longer than a whole line.
    """
    body = text.lstrip(" ")
    line = text[: len(text) - len(body)]
    lines: list[str] = []
    empty = True
    for piece, is_rest_of_word in _pieces(body, max(1, width - max(len(line), len(continued)))):
        joined = f"{line}{piece}" if empty else f"{line} {piece}"
        if not empty and (is_rest_of_word or cells(joined) > width):
            lines.append(line.rstrip(" "))
            joined = f"{continued}{piece}"
        line, empty = joined, False
    return [*lines, line.rstrip(" ")]


def _pieces(text: str, most: int) -> Iterator[tuple[str, bool]]:
    """Yield words, or parts of words longer than `most` columns, each with whether it continues a word."""
    for word in text.split(" "):
        part, continued = "", False
        for character in word:
            if part and cells(part) + cells(character) > most:
                yield part, continued
                part, continued = "", True
            part += character
        yield part, continued


def bold(text: str) -> str:
    """Return a line in bold type, where the terminal has it."""
    return text if is_plain() else click.style(text, bold=True)


def cells(text: str) -> int:
    """Return the width of a text in columns; letters of East Asian scripts take two (Unicode, UAX 11)."""
    return cell_len(text)


def visible_only(text: str) -> str:
    """Return a text in which each character that could move the cursor or turn the writing around is named instead.

    Texts are cleaned where they come from. This is a second check of everything that is printed. Joiners stay, because
    several scripts need them.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"<U+{ord(each):04X}>" if _moves(each) else each for each in text)


def _moves(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in "\u200c\u200d"


BY_CODE: Mapping[ErrorCode, str] = {
    "invalid_arguments": "Correct what is named and try again.",
    "unknown_address": "Save the address under that name first, or use another name.",
    "key_conflict": "Use another idempotency key for a new order.",
    "key_used": "Use another idempotency key to order again.",
    "possible_duplicate": "Look at the earlier order first: LOOK",
    "limit_exceeded": "Raise the limit under [policy] in zinc.toml, or wait until earlier orders are older.",
    "cannot_be_ordered": "Have the agent find it at another shop, or set check_before_asking = false under [policy].",
    "not_allowed": "Change it under [policy] in zinc.toml if it should be allowed.",
    "paused": "End the pause once you know why it was set: RESUME",
    "clock_uncertain": "Set the machine's clock right. If it is right, say so: RESUME",
    "policy_invalid": "Correct the [policy] table, or the variable that is named.",
    "policy_differs": "Look at both, then correct the settings here or publish them for all servers: POLICY",
    "settings_invalid": "Correct the setting and start again.",
    "approval_expired": "Have the agent place the order again: you are asked again then.",
    "approval_required": "The question still stands; nothing was bought.",
    "question_closed": "Have the agent place the order again, or look at what waits now: ORDERS",
    "too_many_waiting": "Answer the questions that wait first: ORDERS",
    "too_many_calls": "Wait until some of the agent's calls have answered.",
    "order_too_large": "Have the agent place smaller orders.",
    "account_not_configured": "Set ZINC_API_KEY, or ZINC_MCP_SANDBOX=1 to practise, or sign in: LOGIN",
    "wallet_not_configured": "Set ZINC_WALLET and what it needs.",
    "wallet_unavailable": "Correct what the payment wallet needs and start again; if nothing is wrong, try later.",
    "declined": "Nothing was bought.",
    "journal_unavailable": "The journal has to work again before anything can be bought.",
    "zinc_unreachable": "Check the network and ZINC_API_URL, and try again in a minute.",
    "order_not_found": "Check the key or the id. These are known here: ORDERS",
    "order_rejected": "Correct what Zinc objects to; then the order can be placed again.",
    "change_rejected": "Ask Zinc about it, with the order's id.",
    "order_exists": "Look at the earlier order: LOOK",
    "outcome_unknown": "It may have been bought: do not order it again elsewhere. This says how it goes on: LOOK",
    "paid_no_order": "Ask Zinc with the key and the payment's reference. This shows both: LOOK",
    "payment_refused": "Nothing was paid. Check the payment wallet.",
    "zinc_unavailable": "Try again in a minute.",
    "internal_error": "Look at the orders before anything is ordered again: ORDERS",
}
"""The owner's next step for each code of a failure."""

_BY_ZINCS_CODE: Mapping[str, str] = {
    "unauthorized": "Check ZINC_API_KEY, or sign in anew: LOGIN",
    "invalid_token": "Check ZINC_API_KEY, or sign in anew: LOGIN",
    "token_expired": "Sign in anew: LOGIN",
    "forbidden": "Check at Zinc what the API key is allowed to do.",
    "insufficient_funds": "Top up the Zinc balance.",
    "rate_limit_exceeded": "Wait a minute and try again.",
}


def advice(error: ZincMcpError) -> str:
    """Return the owner's next step after a failure, with commands that can be pasted."""
    if error.owner_step is not None:
        return error.owner_step
    text = BY_CODE[error.code]
    if isinstance(error, OrderRejectedError):
        text = _BY_ZINCS_CODE.get(error.zinc_code, text)
    key = error.facts.get("key") or error.facts.get("order_id")
    shown = command("orders", "show", given=[plain(key, 64)]) if key else command("orders")
    lines = (
        ("LOOK", shown),
        ("RESUME", command("resume")),
        ("ORDERS", command("orders")),
        ("LOGIN", command("login")),
        ("POLICY", command("policy")),
    )
    for word, line in lines:
        if text.endswith(word):
            return text.removesuffix(word) + line
    return text


def agreed(question: str, do: str, *, yes: bool) -> bool:
    """Ask at the terminal whether to change something, unless the owner has said `--yes`; return the answer.

    Args:
        question: the question.
        do: the change, as a verb behind "Say --yes to".
        yes: the owner has said `--yes`.

    Raises:
        RefusedError: `approval_required`, there is no terminal.
    """
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RefusedError(
            "Without a terminal nobody can be asked, so nothing was changed.",
            owner_step=f"Say --yes to {do} without being asked.",
            code="approval_required",
        )
    if click.confirm(question, default=False):
        return True
    show_line("Nothing was changed.")
    return False

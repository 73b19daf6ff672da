"""Text from outside (retailers, Zinc, models), made safe to show: one line, bounded, nothing invisible."""

import re
import unicodedata

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")


def plain(text: object, limit: int = 200) -> str:
    """Return `text` without control, bidirectional, zero-width or private characters, on one line, cut at `limit`.

    It stays data: nothing here makes it a sentence of ours, and callers show it in a field of its own.
    """
    # Bounded before anything walks it: what comes from outside may be megabytes long.
    source = _ANSI.sub("", str(text)[: limit * 8])
    kept = "".join(
        " " if character in "\n\r\t\u2028\u2029" else character
        for character in source
        if character in "\n\r\t\u2028\u2029" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[: limit - 1].rstrip() + "…"

"""Words for a person in the place of names for programs: statuses, reasons and states."""

import re

_NAME = re.compile(r"[a-z]+(?:_[a-z]+)+")
_OTHERWISE = {"paid_no_order": "paid, no order"}


def in_words(name: str | None) -> str:
    """Return a name such as `no_longer_needed` with spaces in it. Any other text stays as it is; None is empty."""
    if name is None:
        return ""
    return _OTHERWISE.get(name) or (name.replace("_", " ") if _NAME.fullmatch(name) else name)

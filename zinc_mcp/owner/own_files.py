"""Files that only the owner may change: what another user could have written there is not believed."""

import shlex
from pathlib import Path

from zinc_mcp.errors import SettingsError
from zinc_mcp.private_files import writable_by_others

SECRETS = "secrets"
"""The folder of the home in which secrets are kept."""


class InsecureFileError(SettingsError):
    """Others can write to a file of the owner, so nothing in it is believed."""


def check_owners_alone(path: Path, what: str) -> None:
    """Check that nobody else can change the file or folder at a path.

    Raises:
        InsecureFileError: others can write to it, or to a folder above it.
    """
    others = writable_by_others(path)
    if others is not None:
        raise InsecureFileError(
            f"Other users of this machine can write to {others}, and so change what this program takes for its {what}.",
            f"Take that right from them: chmod go-w {shlex.quote(str(others))}. Then look at what is in it.",
        )

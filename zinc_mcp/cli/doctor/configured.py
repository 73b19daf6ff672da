"""The settings as the doctor prints them, without a secret."""

from collections.abc import Iterator

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.known_settings import SETTINGS, VALUE, Setting
from zinc_mcp.owner.settings import Settings
from zinc_mcp.proxies import ENVIRONMENT, NONE, shown
from zinc_mcp.text import plain
from zinc_mcp.zinc.origin import check_origin


def configured(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name and the printable value of each setting; secrets only as `set`."""
    for setting in SETTINGS:
        said = setting.shown[0 if getattr(settings, setting.name, None) else 1]
        if said:
            yield setting.name, _shown(settings, setting) if said == VALUE else said


def _shown(settings: Settings, setting: Setting) -> str:
    value = getattr(settings, setting.name)
    match setting.kind:
        case "address":
            try:
                return plain(check_origin(value))
            except ZincMcpError:
                return "not usable"  # the value is not repeated: it may be a key in the wrong place
        case "database":
            if settings.journal is None:
                return f"SQLite, {plain(settings.home / 'journal.db')}"
            return "PostgreSQL" if settings.is_shared else "SQLite"
        case "proxy":
            wanted = value.get_secret_value() if value is not None else ENVIRONMENT
            return wanted if wanted in (ENVIRONMENT, NONE) else plain(shown(wanted))
        case "file":
            return f"{plain(value)}{'' if value.exists() else ', not there'}"
        case "names":
            return ", ".join(sorted(value))
        case _:
            return plain(value)

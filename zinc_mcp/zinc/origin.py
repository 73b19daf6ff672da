"""The origin of Zinc's API: scheme, host and port, and a path if there is one."""

import ipaddress
import re

from zinc_mcp.errors import SettingsError
from zinc_mcp.proxies import is_confidential

_ORIGIN = re.compile(
    r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?((?:/[A-Za-z0-9_-]+)*)/*",
)
_DEFAULT_PORTS = {"https": "443", "http": "80"}


def check_origin(origin: str, setting: str = "ZINC_API_URL") -> str:
    """Return `origin` in one spelling: scheme, host, port if it is not the default, and path if there is one.

    `setting` is the variable that holds it, for errors.

    Raises:
        SettingsError: it is neither https, nor http to a loopback address.
    """
    scheme, _, rest = origin.strip().partition("://")
    host, slash, path = rest.partition("/")
    parts = _ORIGIN.fullmatch(f"{scheme.lower()}://{host.lower()}{slash}{path}")
    if parts is None or int(parts[3] or 1) > 65535 or not _exists(parts[2]):
        raise SettingsError(f"{setting} is not an address like https://api.zinc.com.")
    if not is_confidential(parts[1], parts[2].strip("[]")):
        raise SettingsError(f"{setting} must use https; plain http is taken for loopback addresses only.")
    port = f":{parts[3]}" if parts[3] and parts[3] != _DEFAULT_PORTS[parts[1]] else ""
    return f"{parts[1]}://{parts[2]}{port}{parts[4]}"


def _exists(host: str) -> bool:
    if not host.startswith("["):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).version == 6
    except ValueError:
        return False

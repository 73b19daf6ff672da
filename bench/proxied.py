"""The proxy's file of `deploy/` with other addresses, so that tests and benches run that very file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

DEPLOY = Path(__file__).parents[1] / "deploy"
NAMES = ("zinc-0", "zinc-1", "zinc-2")
"""The names of the servers in the files of `deploy/`."""


def nginx_configuration(folder: Path, port: int, servers: Sequence[int], *, tls: bool = True) -> str:
    """Return `deploy/nginx.conf` for `localhost:PORT` in front of servers on these ports of this machine.

    Args:
        folder: the folder into which nginx writes, with `cert.pem` and `key.pem`.
        port: the port of the proxy.
        servers: the ports of the servers, in the order of their names.
        tls: whether the proxy ends TLS; without it, clients speak plain HTTP.

    Raises:
        ValueError: the file lacks one of the addresses.
    """
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    text = replaced(
        text,
        {
            **{rf"(server) {name}:8765": rf"\1 127.0.0.1:{own}" for name, own in zip(NAMES, servers, strict=True)},
            r"listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            r"zinc\.example\.com": "localhost",
            r"/etc/nginx/tls/": f"{folder}/",
            r"/tmp/nginx": f"{folder}/nginx",  # noqa: S108
        },
    )
    return text if tls else replaced(text, {rf"({port}) ssl;": r"\1;", r"ssl_certificate\w* \S+;": ""})


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """Return a text in which each pattern was replaced.

    Raises:
        ValueError: a pattern does not match.
    """
    for pattern, new in changes.items():
        text, count = re.subn(pattern, new, text)
        if not count:
            raise ValueError(f"{pattern} is not in the file")
    return text

"""`zinc-mcp serve`: the MCP server over Streamable HTTP and SSE."""

from pathlib import Path
from urllib.parse import urlsplit

import click

from zinc_mcp.owner.settings import load_settings, warnings_about
from zinc_mcp.prose import plain

_File = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--http", "address", required=True, metavar="HOST:PORT", help="Where to listen, e.g. 127.0.0.1:8765.")
@click.option("--allow-host", "allowed_hosts", multiple=True, metavar="HOST", help="A Host that clients may name.")
@click.option("--tls-cert", type=_File, help="Certificate chain, PEM.")
@click.option("--tls-key", type=_File, help="Its private key, PEM.")
@click.option("--behind-proxy", is_flag=True, help="A proxy in front of this server ends TLS.")
@click.option("--members", type=click.Path(dir_okay=False, path_type=Path), help="The file of members.")
def serve(
    address: str,
    allowed_hosts: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_proxy: bool,
    members: Path | None,
) -> None:
    """Run the MCP server over HTTP: /mcp, /sse, /healthz.

    Clients send a token: a member's, or without members the owner's own, from the file `http-token` in the home, which
    is made at the first start. On loopback nothing more is needed. Anywhere else it starts only with members, allowed
    hosts, and TLS or a proxy.
    """
    host, port = _host_and_port(address)
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    settings = load_settings()
    for warning in warnings_about(settings):
        click.echo(plain(warning, 300), err=True)
    from zinc_mcp.server.http.app import serve_http

    serve_http(
        settings,
        host,
        port,
        allowed_hosts=allowed_hosts,
        tls=(tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None,
        behind_proxy=behind_proxy,
        members=members,
    )


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or any(character in address for character in "/@?# "):
        raise click.BadParameter("must be HOST:PORT, such as 127.0.0.1:8765 or [::1]:8765", param_hint="--http")
    return host, port

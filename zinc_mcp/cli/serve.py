"""`zinc-mcp serve` and `sandbox`: the MCP server over HTTP, and the practice Zinc on a port."""

from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click

from zinc_mcp.owner.settings import load_settings, warnings_about
from zinc_mcp.text import plain

_File = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--http", "address", required=True, metavar="HOST:PORT", help="Where to listen, e.g. 127.0.0.1:8765.")
@click.option("--allow-host", "allowed_hosts", multiple=True, metavar="HOST", help="A Host that clients may name.")
@click.option("--tls-cert", type=_File, help="Certificate chain, PEM.")
@click.option("--tls-key", type=_File, help="Its private key, PEM.")
@click.option("--behind-proxy", is_flag=True, help="A proxy in front of this server ends TLS.")
@click.option("--metrics", metavar="HOST:PORT", help="Where to show metrics for Prometheus, e.g. 127.0.0.1:9464.")
@click.option("--members", type=click.Path(dir_okay=False, path_type=Path), help="A file of members.")
def serve(
    address: str,
    allowed_hosts: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_proxy: bool,
    metrics: str | None,
    members: Path | None,
) -> None:
    """Run the MCP server over HTTP: /mcp, /sse, /healthz.

    Clients send a token: a member's token, or without members the owner's. The owner's is in the file `http-token` in
    the home, which is made at the first start. On loopback nothing more is needed. At any other address the server
    starts only with members, allowed hosts, and TLS or a proxy.
    """
    host, port = _host_and_port(address)
    shown_at = None if metrics is None else _host_and_port(metrics, "--metrics")
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
        metrics=shown_at,
    )


def _host_and_port(address: str, option: str = "--http") -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or any(character in address for character in "/@?# "):
        raise click.BadParameter("must be HOST:PORT, such as 127.0.0.1:8765 or [::1]:8765", param_hint=option)
    return host, port


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="0 takes any free port.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--dialect", default="", metavar="NAME=VALUE,...", help="How it speaks where the documents are silent.")
@click.option("--pace", type=float, default=1.0, show_default=True, help="How many times faster orders advance.")
@click.option(
    "--challenge-seconds",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    help="How long a 402 can be paid; the pace does not shorten it.",
)
@click.option("--ledger", type=click.Path(dir_okay=False, path_type=Path), help="Keep the orders in this file.")
def sandbox(port: int, host: str, dialect: str, pace: float, challenge_seconds: float, ledger: Path | None) -> None:
    """Run the practice Zinc on a port, for any client.

    It takes every zn_test_ key; nothing is ever bought. GET /orders/test-products lists what can be ordered.
    Under /v1 it speaks Zinc v1 to any client token; GET /v1/practice/products lists the products of each ending.
    """
    import anyio

    from zinc_mcp.sandbox import Dialect, Sandbox
    from zinc_mcp.sandbox.app import serve as serve_practice

    try:
        practice = Sandbox(ledger, dialect=Dialect.parse(dialect), pace=pace, challenge_seconds=challenge_seconds)
    except ValueError as error:
        raise click.UsageError(str(error)) from error

    def announce(bound: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"http://{shown}:{bound}")
        click.echo(f"ZINC_API_URL=http://{shown}:{bound} ZINC_API_KEY=zn_test_any points zinc-mcp at it.", err=True)
        click.echo(f"ZINC_V1_API_URL=http://{shown}:{bound}/v1 ZINC_V1_CLIENT_TOKEN=practise does so for v1.", err=True)

    try:
        anyio.run(partial(serve_practice, practice, host, port, ready=announce))
    except OSError as error:
        raise click.ClickException(f"{host}:{port} cannot be used ({error.strerror}).") from error

"""Start the program: the server on stdio for an MCP host, commands for a person."""

import gc
import io
import os
import sys
from typing import NoReturn

from zinc_mcp.errors import SettingsError, ZincMcpError
from zinc_mcp.invocation import COMPLETING
from zinc_mcp.text import plain


def main() -> NoReturn:
    """Run `zinc-mcp`: without arguments the stdio server, or help where a person sits at a terminal."""
    try:
        if len(sys.argv) == 1 and not _at_a_terminal() and COMPLETING not in os.environ:
            _serve()
        else:
            _command()
    except ZincMcpError as error:
        from zinc_mcp.cli.screen import show_failure

        show_failure(error)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _at_a_terminal() -> bool:
    # A host may start us without any stdin.
    return sys.stdin is not None and sys.stdin.isatty()  # pyright: ignore[reportUnnecessaryComparison]


def _serve() -> None:
    # A host waits for the first answer, so neither the commands nor their libraries are loaded here. The garbage
    # collector is off while modules load, because all of them stay. `stdio.run` enables it again.
    gc.disable()
    from zinc_mcp.owner.settings import load_settings, warnings_about

    settings = load_settings()
    for warning in warnings_about(settings):
        sys.stderr.write(f"zinc-mcp: {plain(warning, 300)}\n")
    from zinc_mcp.server.stdio import run

    run(settings)


def _command() -> None:
    from zinc_mcp.cli import program
    from zinc_mcp.invocation import started_as

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a letter that a terminal cannot show becomes its code
    program.main(prog_name=started_as(), complete_var=COMPLETING)


if __name__ == "__main__":
    main()

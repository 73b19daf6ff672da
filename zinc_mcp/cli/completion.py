"""`zinc-mcp completion`: print the lines with which a shell completes our commands and options."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from zinc_mcp.cli import program
from zinc_mcp.invocation import COMPLETING

_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "fish": FishComplete, "zsh": ZshComplete}


@click.command()
@click.argument("shell", type=click.Choice(sorted(_SHELLS)))
def completion(shell: str) -> None:
    """Print the lines with which a shell completes zinc-mcp, for the shell's start-up file.

    \b
    bash, in ~/.bashrc:                   eval "$(zinc-mcp completion bash)"
    zsh, in ~/.zshrc:                     eval "$(zinc-mcp completion zsh)"
    fish, in ~/.config/fish/config.fish:  zinc-mcp completion fish | source

    zinc-mcp must be on the PATH. Bash must be version 4.4 or newer.
    """
    click.echo(_SHELLS[shell](program, {}, "zinc-mcp", COMPLETING).source())

"""The commands that a person types. Each module of the room is loaded only when its command runs."""

from importlib import import_module

import click
from click.shell_completion import CompletionItem

_COMMANDS = {
    "addresses": ("owner.addresses", "Save, list and remove shipping addresses."),
    "approve": ("orders.decide", "Show an order that waits for an answer, and buy it after a typed yes."),
    "completion": ("completion", "Print the lines with which a shell completes our commands."),
    "decline": ("orders.decide", "Say no to an order that waits for an answer."),
    "demo": ("demo", "Place practice orders through the real server and show what happens."),
    "doctor": ("doctor.doctor", "Say what is configured, what can work and what is wrong."),
    "evidence": ("orders.evidence", "Check an evidence file: what it proves, and by whose word."),
    "install": ("hosts.install", "Put this server into the hosts on this machine: Claude, Codex, Cursor and others."),
    "journal": ("owner.journal", "Look after the journal's secrets and versions."),
    "link": ("hosts.link", "Print the link that a host opens to add this server."),
    "login": ("login.login", "Sign in to Zinc; the key is kept here and never shown."),
    "logout": ("login.account", "Forget the key that a sign-in kept here."),
    "members": ("owner.members", "Add, change, list and remove the members of a team server."),
    "notify": ("owner.notify", "Try the place where you are told about orders."),
    "orders": ("orders.orders", "List orders, show and export them, forget old ones, settle a doubtful one."),
    "pause": ("owner.policy", "Stop all placing and sending, in every process on this journal."),
    "pin": ("owner.policy", "Set, remove or forget the PIN that every yes needs."),
    "policy": ("owner.policy", "Print the limits that hold and where each comes from."),
    "reconcile": ("orders.reconcile", "Compare Zinc's orders and balance with the journal."),
    "resume": ("owner.policy", "End a pause."),
    "retailer-accounts": (
        "owner.retailer_accounts",
        "Add, list and remove your own accounts at retailers, for v1 orders.",
    ),
    "sandbox": ("serve", "Run the practice Zinc on a port, for any client."),
    "serve": ("serve", "Run the MCP server over HTTP, for a team or another machine."),
    "status": ("hosts.install", "Say which hosts start this server, and how."),
    "uninstall": ("hosts.install", "Take this server out of hosts again."),
    "webhooks": ("owner.webhooks", "Have Zinc tell a server over HTTP when an order has news."),
    "whoami": ("login.account", "Say which key is used, and whose it is."),
}
"""The module of each command, and its line in the help."""


class Program(click.Group):
    """A group of commands that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, sorted."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command and return it."""
        if cmd_name not in _COMMANDS:
            return None
        module, _ = _COMMANDS[cmd_name]
        command = getattr(import_module(f"zinc_mcp.cli.{module}"), cmd_name.replace("-", "_"))
        return command if isinstance(command, click.Command) else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands, or the options, that begin with `incomplete`; no command is loaded for it."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=line) for name, (_, line) in _COMMANDS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; no command is loaded for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=Program, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zinc-mcp", prog_name="zinc-mcp")
@click.pass_context
def program(context: click.Context) -> None:
    """Let an AI agent buy real things through Zinc: one intention, one purchase.

    Started by an MCP host, without arguments and without a terminal, this is the server on stdio.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())

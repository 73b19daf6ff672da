"""Every setting there is, a row each: what reads, checks, shows and documents settings looks here."""

from dataclasses import dataclass
from typing import Literal, get_args

Approval = Literal["auto", "host", "page", "none"]
TOOLS = ("place_order", "place_agent_order", "get_order")
VALUE = "(the value)"
"""In `Setting.shown`: the value itself, as far as it may be shown."""

_SecretKind = Literal["key", "database", "proxy"]
_Kind = Literal[
    _SecretKind, "folder", "file", "text", "address", "switch", "number", "cents", "range", "words", "names", "choice"
]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. Its default is that of the field of `Settings` or `Policy` that bears its name."""

    variable: str
    kind: _Kind
    """How it is read, and whether it is a secret."""
    meaning: str
    """What the README says of it, or docs/wallets.md."""
    part: Literal["place", "general", "wallet", "policy"] = "general"
    """A place has no key in `zinc.toml`. What is wrong with the wallet alone stops nothing else. The policy is a table
    of its own, read anew for each decision."""
    choices: tuple[str, ...] = ()
    shown: tuple[str, str] = ("", "")
    """What `doctor` says where it is on or given, and where it is not; it says nothing where that is empty."""
    repeated: bool = False
    """Whether a printed command repeats it, because it decides which orders the command sees."""

    @property
    def name(self) -> str:
        """The field, and the key in `zinc.toml`."""
        return self.variable.removeprefix("ZINC_").removeprefix("MCP_").lower()

    @property
    def is_secret(self) -> bool:
        """Whether it may hold what nobody else should see. It can then be given in a file of its own as well."""
        return self.kind in get_args(_SecretKind)

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that gives it: its own, and that which names a secret's file."""
        return (self.variable, f"{self.variable}_FILE") if self.is_secret else (self.variable,)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that gives it in `zinc.toml`."""
        return (self.name, f"{self.name}_file") if self.is_secret else (self.name,)


# In the order in which `doctor` shows them.
SETTINGS = (
    Setting("ZINC_MCP_HOME", "folder", "instead of `~/.zinc-mcp`", "place", (), (VALUE, ""), repeated=True),
    Setting("ZINC_MCP_CONFIG", "file", "instead of the home's `zinc.toml`", "place", (), (VALUE, ""), repeated=True),
    Setting("ZINC_API_KEY", "key", "the key that pays; `zn_test_…` buys nothing", shown=("set", "not set")),
    Setting("ZINC_API_URL", "address", "default `https://api.zinc.com`", shown=(VALUE, "")),
    Setting("ZINC_MCP_SANDBOX", "switch", "`1`: everything against the built-in sandbox", shown=("on", "off")),
    Setting(
        "ZINC_MCP_JOURNAL", "database",
        "`postgresql://…` instead of SQLite in the home, or `sqlite:////whole/path/journal.db` "
        "(a folder of its own, nothing after the path)",
        shown=(VALUE, VALUE), repeated=True,
    ),
    Setting(
        "ZINC_MCP_TOOLS", "names", "only these tools, such as `get_order`", choices=TOOLS, shown=(VALUE, "all")
    ),
    Setting(
        "ZINC_WALLET", "choice",
        "`tempo`, `stripe` or `command`, with the variables in [docs/wallets.md](docs/wallets.md)",
        "wallet", ("tempo", "stripe", "command", "sandbox"), (VALUE, "none"),
    ),
    Setting(
        "ZINC_MCP_BROWSER", "switch", "`0`: never open the approval page in a browser of this desktop",
        shown=("the approval page may open in it", "the approval page never opens in it"),
    ),
    Setting(
        "ZINC_MCP_PROXY", "proxy",
        "`environment` (default: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), `none`, or a proxy's address; for Zinc, a "
        "Tempo node and Stripe alike",
        shown=(VALUE, VALUE),
    ),
    Setting(
        "ZINC_TEMPO_PRIVATE_KEY", "key", "`tempo`: the key that signs, best an access key", "wallet", (), ("set", "")
    ),
    Setting("ZINC_TEMPO_ROOT_ACCOUNT", "text", "`tempo`: the account that an access key signs for", "wallet"),
    Setting("ZINC_TEMPO_RPC_URL", "address", "`tempo`: the node. Unset: the public one", "wallet"),
    Setting(
        "ZINC_TEMPO_CHAIN_ID", "number", "`tempo`: the chain, `42431` for practice. Unset: the main one", "wallet"
    ),
    Setting("ZINC_STRIPE_SECRET_KEY", "key", "`stripe`: the restricted key", "wallet", (), ("set", "")),
    Setting("ZINC_STRIPE_PAYMENT_METHOD", "text", "`stripe`: what pays, `pm_…`", "wallet"),
    Setting("ZINC_WALLET_COMMAND", "text", "`command`: the program and its arguments", "wallet", (), ("set", "")),
    Setting(
        "ZINC_WALLET_METHODS", "words",
        "`command`: what it can pay, separated by commas, the preferred one first. Unset: `stripe`", "wallet",
    ),
    Setting(
        "ZINC_WALLET_RECIPIENTS", "words",
        "the only recipients to pay, separated by commas. Unset: whoever the configured Zinc names", "wallet",
    ),
    Setting(
        "ZINC_WALLET_FEES", "range",
        "what a 402 may ask for above the price ceiling, in cents: one number, or the least and the most "
        '(`"50-100"`). Unset: 100, Zinc\'s fee today, to the cent. The most is what the limits reserve and what you '
        "are asked about", "wallet",
    ),
    Setting("ZINC_MCP_MAX_ORDER", "cents", "limit of an order, US cents", "policy"),
    Setting("ZINC_MCP_MAX_DAY", "cents", "limit of 24 hours, US cents", "policy"),
    Setting(
        "ZINC_MCP_APPROVAL", "choice",
        "`auto` (default), `page`, `host` (trust the host's own prompt), `none` (limits only)",
        "policy", get_args(Approval),
    ),
)  # fmt: skip


def settings_of(*parts: str) -> tuple[Setting, ...]:
    """Return the settings of some parts."""
    return tuple(setting for setting in SETTINGS if setting.part in parts)

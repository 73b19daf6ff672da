"""The table of all settings. Everything that shows or reads settings uses it."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from zinc_mcp.errors import SettingsError
from zinc_mcp.known_settings import kinds

Approval = Literal["auto", "host", "page", "none"]
RailName = Literal["account", "agent", "v1"]
Profile = Literal["read", "order"]
PROFILES: Mapping[str, tuple[Profile, ...]] = {
    "place_order": ("order",),
    "place_agent_order": ("order",),
    "place_v1_order": ("order",),
    "get_order": ("read", "order"),
    "search_products": ("order",),
    "check_product": ("order",),
    "list_orders": ("read",),
    "cancel_order": ("order",),
    "get_balance": ("read",),
    "return_order": (),
    "report_problem": (),
}
"""Each tool, in the order of the list, with the profiles of `ZINC_MCP_TOOLS` that hold it.

`read`: it spends nothing, not even a cent, and changes nothing. `order`: it is needed to order, to follow or to stop.
Every tool is in the profile `all`. A new tool is one line here.
"""
TOOLS = tuple(PROFILES)
Right = Literal["read", "place", "admin"]
"""The rights of callers of a team server. `read`: look at orders. `place`: order, and change placed orders. `admin`:
decide about orders of others."""
RIGHTS: tuple[Right, ...] = get_args(Right)
Role = Literal["read", "order", "admin"]
ROLES: Mapping[Role, frozenset[Right]] = {
    "read": frozenset({"read"}),
    "order": frozenset({"read", "place"}),
    "admin": frozenset(RIGHTS),
}
"""The roles of members, with their rights."""
ALL = "all"
VALUE = "(the value)"
"""In `Setting.shown`: the value itself, as far as it may be shown."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

_SecretKind = Literal["key", "keys", "database", "proxy"]
_PlainKind = Literal[
    "folder", "file", "text", "name", "address", "switch", "number", "cents", "range", "words", "names", "choice"
]
_Kind = Literal[_SecretKind, _PlainKind]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. Its default is the default of the field of the same name in `Settings` or `Policy`."""

    variable: str
    kind: _Kind
    """The kind of the value: it decides how the value is read, and whether it is a secret."""
    meaning: str
    """The meaning that docs/settings.md and docs/wallets.md state."""
    part: Literal["place", "general", "wallet", "policy"] = "general"
    """A place has no key in `zinc.toml`. A fault in the wallet's settings stops only the wallet. The policy is a table
    of its own, read anew for each decision."""
    choices: tuple[str, ...] = ()
    shown: tuple[str, str] = ("", "")
    """The words of `doctor`: first if the setting is on or given, then if it is not. An empty text is not shown."""
    repeated: bool = False
    """Whether a printed command repeats it, because it decides which orders the command sees."""

    @property
    def name(self) -> str:
        """The field, and the key in `zinc.toml`."""
        return self.variable.removeprefix("ZINC_").removeprefix("MCP_").lower()

    @property
    def is_secret(self) -> bool:
        """Whether its value may be a secret. Such a value can also be given in a file of its own."""
        return self.kind in get_args(_SecretKind)

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that can set it: its own, and for a secret also the variable that names the secret's file."""
        return (self.variable, f"{self.variable}_FILE") if self.is_secret else (self.variable,)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key of `zinc.toml` that can set it."""
        return (self.name, f"{self.name}_file") if self.is_secret else (self.name,)

    def value_of(self, given: object, place: str) -> object:
        """Return a given value with the type of this setting's kind.

        Raises:
            SettingsError: the value is not of this kind. The sentence names the place, never the value: a private key
                may have been pasted into the wrong field.
        """
        match self.kind:
            case "switch":
                return kinds.switch(given, place)
            case "number":
                return kinds.number(given, place, "a whole number")
            case "cents":
                return kinds.number(given, place, "whole US cents, such as 25000 for $250.00")
            case "range":
                return kinds.cents_range(given, place)
            case "words":
                return tuple(filter(None, kinds.listed(given, place, "words, separated by commas")))
            case "names":
                return _names(given, place)
            case "address":
                if "@" in (url := kinds.text_in(given, place)):
                    raise SettingsError(f"{place} must not carry a user name or a password.")
                return url
            case "name":
                if not _NAME.fullmatch(name := kinds.text_in(given, place)):
                    raise SettingsError(f"{place} must be 1 to 40 of a-z, 0-9 and dashes, with no dash first.")
                return name
            case "choice":
                if (chosen := kinds.text_in(given, place)) not in self.choices:
                    raise SettingsError(f"{place} must be one of {', '.join(self.choices)}.")
                return chosen
            case _:
                return kinds.text_in(given, place)


def rights_for(tool: str) -> tuple[Right, ...]:
    """Return all rights that a call of a tool needs.

    A tool that orders or changes needs `read` as well, because its answer may tell of earlier orders.
    """
    return ("read",) if "read" in PROFILES[tool] else ("read", "place")


def _names(given: object, place: str) -> frozenset[str]:
    """Return the tools that a list of tools and profiles names.

    Raises:
        SettingsError: the list is empty, or it holds an unknown name.
    """
    profiles = {name: frozenset(tool for tool in TOOLS if name in PROFILES[tool]) for name in get_args(Profile)}
    known: Mapping[str, frozenset[str]] = {
        **profiles,
        ALL: frozenset(TOOLS),
        **{tool: frozenset({tool}) for tool in TOOLS},
    }
    chosen = frozenset(kinds.listed(given, place, "names, such as get_order")) - {""}
    there_are = f"The tools are {', '.join(TOOLS)}; the profiles are {', '.join((*profiles, ALL))}."
    if not chosen:
        raise SettingsError(f"{place} names no tool.", f"{there_are} Name some of them, or leave it out.")
    for name in sorted(chosen - known.keys()):
        raise SettingsError(
            f"{place} names a tool that does not exist: {name[:60]!r}.{did_you_mean(name, known)}", there_are
        )
    return frozenset[str]().union(*(known[name] for name in chosen))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that names the known name nearest to an unknown one, or an empty text."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


# In the order in which `doctor` shows them.
SETTINGS = (
    Setting("ZINC_MCP_HOME", "folder", "instead of `~/.zinc-mcp`", "place", (), (VALUE, ""), repeated=True),
    Setting("ZINC_MCP_CONFIG", "file", "instead of the home's `zinc.toml`", "place", (), (VALUE, ""), repeated=True),
    Setting(
        "ZINC_API_KEY", "key",
        "the key that pays; `zn_test_…` buys nothing. Unset: the one of a sign-in "
        "([docs/sign-in.md](docs/sign-in.md))",
        shown=("set", "not set"),
    ),
    Setting("ZINC_API_URL", "address", "default `https://api.zinc.com`", shown=(VALUE, "")),
    Setting(
        "ZINC_V1_CLIENT_TOKEN", "key",
        "the client token of Zinc's v1, which `place_v1_order` needs. Unset: the one that `login --v1` kept",
        shown=("set", ""),
    ),
    Setting("ZINC_V1_API_URL", "address", "default `https://api.zinc.io/v1`", shown=(VALUE, "")),
    Setting("ZINC_MCP_SANDBOX", "switch", "`1`: everything against the built-in sandbox", shown=("on", "off")),
    Setting("ZINC_MCP_SANDBOX_PACE", "number", "how many times faster practice orders advance. Unset: 1"),
    Setting(
        "ZINC_MCP_JOURNAL", "database",
        "`postgresql://…` instead of SQLite in the home, or `sqlite:////whole/path/journal.db` "
        "(a folder of its own, nothing after the path)",
        shown=(VALUE, VALUE), repeated=True,
    ),
    Setting(
        "ZINC_MCP_TOOLS", "names",
        "only these tools: names such as `get_order`, and the profiles `read` (nothing that spends or changes), "
        "`order` (ordering, and what it needs) and `all`",
        choices=TOOLS, shown=(VALUE, "all"),
    ),
    Setting(
        "ZINC_WALLET", "choice",
        "`tempo`, `stripe` or `command`, with the variables in [docs/wallets.md](docs/wallets.md)",
        "wallet", ("tempo", "stripe", "command", "sandbox"), (VALUE, "none"),
    ),
    Setting(
        "ZINC_MCP_LOG", "choice",
        "`text` or `json`: a line for each call on stderr ([docs/seeing.md](docs/seeing.md)). Unset: only for those "
        "that failed",
        choices=("text", "json"), shown=(VALUE, ""),
    ),
    Setting(
        "ZINC_MCP_BROWSER", "switch",
        "`0`: never open the approval page, or the page to sign in, in a browser of this desktop",
        shown=("the approval page may open in it", "the approval page never opens in it"),
    ),
    Setting(
        "ZINC_MCP_PROXY", "proxy",
        "`environment` (default: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), `none`, or a proxy's address; for Zinc, a "
        "Tempo node and Stripe alike",
        shown=(VALUE, VALUE),
    ),
    Setting(
        "ZINC_MCP_NOTIFY_SECRET", "key",
        "signs the messages to the address in `[notify]` of `zinc.toml`; see [docs/notify.md](docs/notify.md)",
        shown=("set", ""),
    ),
    Setting(
        "ZINC_MCP_WEBHOOK_SECRET", "key",
        "checks the events that Zinc sends to a team's server. Unset: the one that `webhooks set` kept "
        "([docs/hosting.md](docs/hosting.md))",
        shown=("set", ""),
    ),
    Setting(
        "ZINC_MCP_DIGEST_KEY", "key",
        "proves that a repeat holds the same login and card as the order before; one for all servers on a journal. "
        "Unset: `digest.key` in the home, made by itself",
        shown=("set", ""),
    ),
    Setting(
        "ZINC_MCP_STATE_KEYS", "keys",
        "seal the questions in hosts' dialogues: at least 32 random bytes each, separated by commas, the same for all "
        "servers on a journal; the first seals, all open ([docs/hosting.md](docs/hosting.md#replicas)). "
        "Unset: a key of this process",
        shown=("set", ""),
    ),
    Setting(
        "ZINC_MCP_JOURNAL_KEYS", "keys",
        "encrypt the secrets of orders in the journal: at least 32 random bytes each, separated by commas, the same "
        "for all servers on a journal; the first encrypts, all decrypt "
        "([docs/hosting.md](docs/hosting.md#encrypt-secrets-in-the-journal)). Unset: they are kept as they are",
        shown=("set", ""),
    ),
    Setting(
        "ZINC_MCP_REPLICA", "name",
        "this server's name among several behind one proxy, such as `one`: it stands in the ids of its sessions and in "
        "the path of its messages, so that the proxy finds it ([docs/hosting.md](docs/hosting.md#replicas))",
        shown=(VALUE, ""),
    ),
    Setting(
        "ZINC_MCP_STATELESS", "switch",
        "`1`: over HTTP, hosts of the older protocol get no session, so that each server can answer each call; what "
        "they would be asked in a dialogue is asked on the page",
        shown=("hosts of the older protocol get no session", ""),
    ),
    Setting(
        "ZINC_MCP_OAUTH_ISSUER", "address",
        "the service whose access tokens count over HTTP, as `iss` names it; see "
        "[docs/team-sign-in.md](docs/team-sign-in.md)",
        shown=(VALUE, ""),
    ),
    Setting(
        "ZINC_MCP_OAUTH_AUDIENCE", "words",
        "the audience that a token must have (`aud`); several separated by commas. Unset: the server's own address "
        "with `/mcp`, or `/sse`",
        shown=(VALUE, ""),
    ),
    Setting(
        "ZINC_MCP_OAUTH_ALGORITHMS", "words",
        "how tokens may be signed, separated by commas. Unset: `RS256,ES256`",
        shown=(VALUE, ""),
    ),
    Setting(
        "ZINC_MCP_OAUTH_SCOPES", "words",
        "the issuer's three scopes: to look, to order, to decide about orders of others. Unset: "
        "`orders:read,orders:place,orders:admin`",
        shown=(VALUE, ""),
    ),
    Setting(
        "ZINC_MCP_OAUTH_EVERYONE", "switch",
        "`1`: everybody with a token of the issuer is let in. Unset: members alone",
        shown=("on", ""),
    ),
    Setting(
        "ZINC_MCP_OAUTH_CLIENT_ID", "text",
        "the issuer's name for this server as a client, so that people sign in to the approval page there "
        "([docs/team-sign-in.md](docs/team-sign-in.md#the-approval-page)). Unset: with members' tokens alone",
        shown=(VALUE, ""),
    ),
    Setting(
        "ZINC_MCP_OAUTH_CLIENT_SECRET", "key",
        "that client's secret. Unset: a public client, which needs none",
        shown=("set", ""),
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

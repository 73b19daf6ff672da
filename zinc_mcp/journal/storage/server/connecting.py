"""Connections to PostgreSQL: their settings, a pooler in between, and the choice among several servers.

A pooler such as PgBouncer answers the login itself, with a process number that is not the server's. In session mode it
keeps a server's session for each client. In transaction mode a client has a session only until the end of a
transaction: a setting, a prepared statement or a LISTEN of one client gets to another one, or is lost (PgBouncer, "SQL
feature map for pooling modes"). So with a pooler nothing is left in the session: settings hold for a transaction, and
statements are not prepared. This is right in both modes.
"""

import select
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import anyio
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

from zinc_mcp.errors import JournalError

if TYPE_CHECKING:
    import psycopg

BUSY_SECONDS: float = 15
"""A process waits at most this time until another one's change is written."""
HELD_SECONDS = 10
"""After this time PostgreSQL undoes a change whose process stands still. Other processes wait longer than that."""
CONNECTIONS = 4
"""The connections of one process: one for each piece of work that `runner.Runner` does at the same time."""
READ_ONLY_SERVER = "25006"
"""`read_only_sql_transaction`: the server has become a standby, or takes no changes for another reason."""

_KEPT_ALIVE: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Settings of libpq: a connection whose other end is gone then ends within a minute."""
_ENCODING = "UTF8"
_MADE = f"CREATE DATABASE zinc ENCODING '{_ENCODING}' TEMPLATE template0"
# These override the defaults of the database and of its user.
_SETTINGS = (
    "SELECT set_config('lock_timeout', '{busy}s', {local}), "
    f"set_config('idle_in_transaction_session_timeout', '{HELD_SECONDS}s', {{local}}), "
    "set_config('default_transaction_isolation', 'read committed', {local}), "
    "CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', {local}) END"
)
OF_TRANSACTION = _SETTINGS.format(busy=BUSY_SECONDS, local="true")
"""The statement that makes for one transaction the settings that otherwise hold for a session."""
_OF_SESSION = f"{_SETTINGS} WHERE pg_backend_pid() = {{pid}}"
_POOLED = "zinc_mcp_pooled"
_STANDBYS = "zinc_mcp_standbys"
"""The number of times that an engine has met a server that takes no changes or is gone, as a list of one number."""

Pooling = Literal["none", "session", "transaction"]
"""The mode of the pooler before the server: how long it keeps a session for one client; `none`: there is no pooler."""
_TURNS = (0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0)
"""The order in which two clients ask. It has no rhythm: with one, a pooler that uses its sessions in turn might give
each client always the same session."""
_ASKED_SECONDS = 5.0
"""The longest time for the questions of each client: a pooler in session mode lets one wait if no session is left."""


def engine_to(url: sa.URL) -> sa.Engine:
    """Return an engine for a database's address.

    With several hosts in it, connections lead to the first one that takes changes, unless the address says otherwise
    (libpq, `target_session_attrs`).

    Raises:
        ImportError: psycopg is not installed.
    """
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_use_lifo=True,  # few calls need few connections, on which their statements are prepared
        hide_parameters=True,
        connect_args=_defaults(url),
        execution_options={_STANDBYS: (standbys := [0])},
    )

    def on_connect(connection: Any, record: Any) -> None:
        connection.autocommit = True
        record.info[_STANDBYS] = (standbys, standbys[0])
        record.info[_POOLED] = connection.execute(of_session(connection)).fetchone() is None
        if record.info[_POOLED]:
            connection.prepare_threshold = None

    def on_checkout(connection: Any, record: Any, _proxy: object) -> None:
        met, before = record.info[_STANDBYS]
        if connection.closed or has_spoken(connection) or met[0] != before:
            raise sa_exc.DisconnectionError

    def on_error(context: sa.engine.ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY_SERVER:
            context.is_disconnect = True  # another server of the address may take changes

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "checkout", on_checkout)
    event.listen(engine, "handle_error", on_error)
    return engine


def leave_server(connection: sa.Connection) -> None:
    """Have all connections of an engine opened anew before they are used again: their server may be gone."""
    connection.info[_STANDBYS][0][0] += 1


def standbys_met(engine: sa.Engine) -> int:
    """Return how often an engine has met a server that is gone or takes no changes; older connections lead to it."""
    met: list[int] = engine.get_execution_options()[_STANDBYS]
    return met[0]


def check_encoding(connection: sa.Connection) -> None:
    """Check that a database keeps every text. A pooler may not tell the encoding; then nothing is checked.

    Raises:
        JournalError: it keeps text in another encoding than UTF-8, so a name or a title may not be written down.
    """
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    named = driver.info.parameter_status("server_encoding")
    if named is not None and named != _ENCODING:
        raise JournalError(
            f"The journal's database keeps text in the encoding {named}, in which not every name can be written; the "
            f"journal needs {_ENCODING}.",
            f"Tell the user to make a database with {_MADE}, and to name it in ZINC_MCP_JOURNAL.",
            owner_step=f"Make a database with {_MADE}, and name it in ZINC_MCP_JOURNAL.",
        )


def of_session(connection: "psycopg.Connection[Any] | psycopg.AsyncConnection[Any]") -> bytes:
    """Return the statement that sets up the session of a new connection; with a pooler in between it returns no row."""
    return _OF_SESSION.format(busy=BUSY_SECONDS, local="false", pid=connection.info.backend_pid).encode()


def is_pooled(connection: sa.Connection) -> bool:
    """Say whether a pooler stands between a connection and the server."""
    return bool(connection.info.get(_POOLED))


def arguments(url: sa.URL) -> dict[str, Any]:
    """Return the arguments of `psycopg.connect` for a database's address."""
    from sqlalchemy.dialects.postgresql import psycopg as dialect

    made: Any = dialect.PGDialect_psycopg  # its methods have no types
    given: dict[str, Any] = made().create_connect_args(url)[1]
    given.pop("context", None)
    return {**_defaults(url), **given}


def _defaults(url: sa.URL) -> dict[str, Any]:
    hosts = url.query.get("host", ())
    several = len(hosts) > 1 if isinstance(hosts, tuple) else "," in hosts
    # Without this, what comes from a database without an encoding is bytes and no text (psycopg, "Strings adaptation").
    fixed = {**_KEPT_ALIVE, "client_encoding": _ENCODING}
    defaults = {**fixed, **({"target_session_attrs": "read-write"} if several else {})}
    return {name: value for name, value in defaults.items() if name not in url.query}


@asynccontextmanager
async def connected(url: str, **given: Any) -> "AsyncGenerator[psycopg.AsyncConnection[Any]]":
    """Give a connection of its own to the database at a SQLAlchemy URL, which commits each statement by itself.

    It ends at once, also where the task is cancelled in the middle of a statement. Psycopg's own end would wait for the
    server once more, be cancelled there, and leave the connection open.

    Raises:
        psycopg.Error, OSError: it cannot be reached.
    """
    import psycopg

    connection = await psycopg.AsyncConnection.connect(**arguments(sa.make_url(url)), autocommit=True, **given)
    try:
        yield connection
    finally:
        await connection.close()


async def pooling_at(url: str) -> Pooling:
    """Find out the mode of the pooler before the server at a database's address, a SQLAlchemy URL.

    In session mode the pooler may let the second client wait. Nothing follows from a first client that waits: it may be
    that no server is there.

    Two clients that are both connected never share a session in session mode. In transaction mode each transaction gets
    any session that is free.

    Raises:
        psycopg.Error, OSError: it cannot be reached, or has not answered in time.
    """
    async with AsyncExitStack() as connections:
        with anyio.fail_after(_ASKED_SECONDS):
            one = await connections.enter_async_context(connected(url, prepare_threshold=None))
            if await _session(one) == one.info.backend_pid:
                return "none"
        with anyio.move_on_after(_ASKED_SECONDS):
            other = await connections.enter_async_context(connected(url, prepare_threshold=None))
            found: tuple[set[int], set[int]] = (set(), set())
            for turn in _TURNS:
                found[turn].add(await _session((one, other)[turn]))
                if len(found[turn]) > 1 or found[0] & found[1]:
                    return "transaction"
    return "session"


async def _session(connection: "psycopg.AsyncConnection[Any]") -> int:
    cursor = await connection.execute("SELECT pg_backend_pid()")
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


def has_spoken(driver: "psycopg.Connection[Any]") -> bool:
    """Say whether the server has sent something without a question: usually that it ends the connection."""
    if not hasattr(select, "poll"):
        return bool(select.select([driver.fileno()], [], [], 0)[0])
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    return bool(poll.poll(0))

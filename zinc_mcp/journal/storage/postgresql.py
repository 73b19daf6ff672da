"""A journal on PostgreSQL: its connections, and the statements of a transaction that are sent together.

Over a network, the time of a step is that of its round trips. `Together` keeps statements back until somebody needs a
row, and sends them in one (libpq, "Pipeline Mode"). The begin of a transaction goes with its first read, and its last
writes go with its COMMIT.

Connections are in autocommit: a read is one statement and one round trip. A ROLLBACK after each read would also make
psycopg forget its prepared statements.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.sql.selectable import ExecutableReturnsRows

from zinc_mcp.journal.storage.server.connecting import (
    OF_TRANSACTION,
    READ_ONLY_SERVER,
    engine_to,
    has_spoken,
    is_pooled,
    leave_server,
)

if TYPE_CHECKING:
    import psycopg

Values = Mapping[str, Any]
Row = Sequence[Any]

# Each statement sees all that others have committed before it. So the holder of a lock sees everything that was written
# under that lock.
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_NONE_CHANGED = "22012"
"""`division_by_zero`: a statement that must change a row divides by the number of those that it changed."""
_WAITING = "waiting statements"


class Asked(Protocol):
    """A read whose rows may not have been read yet."""

    def rows(self) -> Sequence[Row]:
        """Return the rows."""
        ...


class _Sent:
    """One statement of a transaction, and its rows once it was sent."""

    def __init__(
        self,
        together: "Together",
        text: str,
        given: Values | None = None,
        *,
        writes: bool = False,
        check: Callable[[Sequence[Row]], None] | None = None,
        otherwise: Callable[[sa.Connection], None] | None = None,
    ) -> None:
        self._together = together
        self.text, self.given, self.writes, self.check, self.otherwise = text, given, writes, check, otherwise
        self.found: Sequence[Row] | None = None

    def rows(self) -> Sequence[Row]:
        if self.found is None:
            self._together.send()
        return self.found or ()


class Read:
    """Rows that were read."""

    def __init__(self, found: Sequence[Row]) -> None:
        self._found = found

    def rows(self) -> Sequence[Row]:
        """See `Asked.rows`."""
        return self._found


class Together:
    """The statements of one transaction. They are sent in their order, and as late as possible."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._opening = [_Sent(self, _BEGIN)]
        if is_pooled(connection):
            self._opening.append(_Sent(self, OF_TRANSACTION))
        self._waiting = [*self._opening]
        self._ahead: dict[tuple[str, str], _Sent] = {}
        """Reads that were asked for before anybody needs them, by their texts and values."""
        self._wrote = False
        self._pipeline = ExitStack()
        self._sync: Callable[[], None] | None = None
        """Set while the connection is in pipeline mode."""

    def ask(self, text: str, given: Values | None, check: Callable[[Sequence[Row]], None] | None = None) -> Asked:
        """Add a read; `check` is called with its rows before any later rows are returned, and may raise."""
        if check is None and (ahead := self._ahead.pop(_same(text, given), None)) is not None:
            return ahead
        sent = _Sent(self, text, given, check=check)
        self._waiting.append(sent)
        return sent

    def ask_ahead(self, text: str, given: Values) -> None:
        """Add a read for which `ask` will be called later, so that it is sent with what waits now.

        After a change in this transaction it is of no use any more.
        """
        self._ahead[_same(text, given)] = sent = _Sent(self, text, given)
        self._waiting.append(sent)

    def write(self, text: str, given: Values, otherwise: Callable[[sa.Connection], None] | None = None) -> None:
        """Add a change. If it divides by zero, the transaction is undone, and then `otherwise` is called."""
        self._ahead.clear()
        self._waiting.append(_Sent(self, text, given, writes=True, otherwise=otherwise))

    def send(self) -> None:
        """Send all that waits, and read the rows."""
        self._run(ends=False)

    def give_way(self) -> None:
        """Send all that waits before SQLAlchemy runs a statement by itself, which may write."""
        self._ahead.clear()
        self._wrote = True
        self._run(ends=True)

    def commit(self) -> None:
        """Send all that waits, with the COMMIT; nothing where nobody has asked for anything."""
        if self._waiting != self._opening:
            self._waiting.append(_Sent(self, "COMMIT"))
            self._run(ends=True)

    def abandon(self) -> None:
        """End the transaction without what still waits.

        One that has written nothing ends by a COMMIT: after a ROLLBACK psycopg prepares all statements anew.
        """
        from psycopg.pq import TransactionStatus

        if not self._wrote and driver_of(self._connection).info.transaction_status == TransactionStatus.INTRANS:
            self._waiting = [_Sent(self, "COMMIT")]
            self._run(ends=True)
        self._pipeline.close()

    def _run(self, *, ends: bool) -> None:
        """Send all that waits in one round trip; `ends`: the connection leaves pipeline mode.

        It stays in that mode otherwise: psycopg leaves it with a message after which PostgreSQL does not notice that
        this process stands still (`idle_in_transaction_session_timeout`).
        """
        import psycopg

        waiting, self._waiting = self._waiting, []
        self._wrote = self._wrote or any(each.writes for each in waiting)
        driver = driver_of(self._connection)
        cursors: list[psycopg.Cursor[Any]] = []
        try:
            if self._sync is not None and has_spoken(driver) and (ended := _reason_for_end(driver)) is not None:
                raise ended
            if self._sync is None and waiting:
                self._sync = self._pipeline.enter_context(driver.pipeline()).sync
            for each in waiting:
                cursors.append(driver.cursor())
                cursors[-1].execute(each.text.encode(), each.given)
            if ends:
                self._sync = None
                self._pipeline.close()
            elif self._sync is not None:
                self._sync()
        except psycopg.Error as error:
            with suppress(psycopg.Error):
                self._pipeline.close()
            self._fail(waiting, cursors, error)
        for each, cursor in zip(waiting, cursors, strict=True):
            each.found = cursor.fetchall() if cursor.description is not None else ()
            if each.check is not None:
                each.check(each.found)

    def _fail(
        self, sent: Sequence[_Sent], cursors: "Sequence[psycopg.Cursor[Any]]", error: "psycopg.Error"
    ) -> NoReturn:
        done = zip(sent, cursors, strict=False)
        failed = next((each for each, cursor in done if cursor.pgresult is None), None)
        if failed is not None and failed.otherwise is not None and error.sqlstate == _NONE_CHANGED:
            driver_of(self._connection).rollback()
            self._connection.info.pop(_WAITING, None)
            failed.otherwise(self._connection)
        raise failed_by(self._connection, error) from None


@contextmanager
def transaction(connection: sa.Connection) -> Generator[Together]:
    """Begin a transaction, and commit it at the end: nothing is sent before somebody needs a row."""
    together = Together(connection)
    connection.info[_WAITING] = together
    try:
        yield together
        together.commit()
    except BaseException:
        if not connection.invalidated:
            together.abandon()
        raise
    finally:
        if not connection.invalidated:
            connection.info.pop(_WAITING, None)


def together_of(connection: sa.Connection) -> Together | None:
    """Return the statements of the transaction that a connection is in; None where it only reads."""
    return cast("Together | None", connection.info.get(_WAITING))


def ask(
    connection: sa.Connection,
    statement: ExecutableReturnsRows,
    given: Values,
    check: Callable[[Sequence[Row]], None] | None = None,
) -> Asked:
    """Ask for rows: at once where the connection only reads, else together with the statements after it."""
    text, always = spelled(statement)
    together = together_of(connection)
    if together is not None:
        return together.ask(text, {**always, **given}, check)
    found = _read(connection, text, {**always, **given})
    if check is not None:
        check(found)
    return Read(found)


def ask_ahead(connection: sa.Connection, statement: ExecutableReturnsRows, given: Values) -> None:
    """Ask in a transaction for rows for which `ask` will be called later in it, before it changes anything."""
    together = together_of(connection)
    if together is not None:
        text, always = spelled(statement)
        together.ask_ahead(text, {**always, **given})


def _same(text: str, given: Values | None) -> tuple[str, str]:
    return text, repr(sorted((given or {}).items()))


def write(
    connection: sa.Connection,
    statement: sa.UpdateBase,
    given: Values,
    otherwise: Callable[[sa.Connection], None] | None = None,
) -> None:
    """Change something in a transaction; `otherwise` is called where no row was changed, and has to raise.

    Raises:
        RuntimeError: the connection is in no transaction.
    """
    together = together_of(connection)
    if together is None:
        raise RuntimeError("a change outside of a transaction")
    if otherwise is None:
        text, always = spelled(statement, frozenset(given) if isinstance(statement, sa.Insert) else None)
    else:
        text, always = _strict(statement)
    together.write(text, {**always, **given}, otherwise)


def _read(connection: sa.Connection, text: str, given: Values) -> Sequence[Row]:
    """Read rows. A read changes nothing, so it is asked once more, on a new connection, where its own one has ended."""
    import psycopg

    try:
        return driver_of(connection).execute(text.encode(), given).fetchall()
    except psycopg.Error as error:
        failure = failed_by(connection, error)
        if not connection.invalidated:
            raise failure from None
    try:
        return driver_of(connection).execute(text.encode(), given).fetchall()
    except psycopg.Error as error:
        raise failed_by(connection, error) from None


@cache
def spelled(
    statement: ExecutableReturnsRows | sa.UpdateBase, columns: frozenset[str] | None = None
) -> tuple[str, Values]:
    """Return a statement in PostgreSQL's words, and the values that are the same in each run of it.

    `columns` are the columns for which an insertion has values.
    """
    from sqlalchemy.dialects.postgresql import psycopg as dialect

    names = None if columns is None else sorted(columns)
    made: Callable[[], sa.Dialect] = dialect.dialect
    compiled = statement.compile(dialect=made(), column_keys=names)
    return str(compiled), {name: value for name, value in compiled.params.items() if value is not None}


@cache
def _strict(statement: sa.UpdateBase) -> tuple[str, Values]:
    """Return an update that divides by the number of rows that it changed."""
    changed = cast(sa.Update, statement).returning(sa.literal_column("1", sa.Integer)).cte("changed")
    return spelled(sa.select(sa.literal_column("1 / count(*)", sa.Integer)).select_from(changed))


def driver_of(connection: sa.Connection) -> "psycopg.Connection[Any]":
    """Return the driver's connection."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def failed_by(connection: sa.Connection, error: "psycopg.Error") -> sa_exc.DBAPIError:
    """Return a failure of the driver as SQLAlchemy reports it; a connection that is gone is used no more.

    A server that takes no changes any more counts as gone: another one may have taken its place. The other connections
    to a server that is gone are not tried one after the other: each could wait for as long as this one has.
    """
    if error.sqlstate == READ_ONLY_SERVER or driver_of(connection).closed:
        leave_server(connection)
        connection.invalidate(error)
        return sa_exc.DBAPIError(None, None, error, hide_parameters=True, connection_invalidated=True)
    return sa_exc.DBAPIError(None, None, error, hide_parameters=True)


def connect_to_server(url: sa.URL) -> sa.Engine:
    """Return an engine for a database's address.

    Raises:
        ImportError: psycopg is not installed.
    """
    engine = engine_to(url)

    def on_execute(connection: sa.Connection, *_: object) -> None:
        together = together_of(connection)
        if together is not None:
            together.give_way()

    event.listen(engine, "before_cursor_execute", on_execute)
    return engine


def _reason_for_end(driver: "psycopg.Connection[Any]") -> "psycopg.Error | None":
    """Return the server's reason for ending a connection, which is in pipeline mode and waits for no answer.

    In that mode the reason is not read, and a later failure does not tell it.
    """
    import psycopg

    reasons: list[psycopg.Error] = []

    def hear(said: psycopg.errors.Diagnostic) -> None:
        if said.severity_nonlocalized in ("FATAL", "PANIC") and said.sqlstate is not None:
            reasons.append(psycopg.errors.lookup(said.sqlstate)(said.message_primary or ""))

    driver.add_notice_handler(hear)
    driver.pgconn.exit_pipeline_mode()
    with suppress(psycopg.Error):
        driver.pgconn.consume_input()
        driver.pgconn.notifies()  # reads what has come
    driver.remove_notice_handler(hear)
    if reasons:
        driver.close()
        return reasons[0]
    driver.pgconn.enter_pipeline_mode()
    return None

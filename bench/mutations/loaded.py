"""Loads the tests and the program once; a forked process then changes functions in its memory and runs some tests.

It takes longer to load the program and to find the tests than to run most tests. So this is done once, and a mutant
within a function replaces the code of that function in a forked process. Processes that a test starts load the changed
file.
"""

import gc
import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from bench.mutations import ROOT

_Key = tuple[str, str, int]
"""A file, the name of a function with those around it, and the function's first line."""


class Loaded:
    """A session of pytest that has found its tests."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._items = {item.nodeid: item for item in session.items}
        self._functions: dict[_Key, list[FunctionType]] = {}
        room = str(ROOT / "zinc_mcp")
        gc.unfreeze()  # the tests freeze the loaded objects, and frozen objects are not listed
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(room):
                self._functions.setdefault(_key(each.__code__), []).append(each)
        gc.freeze()  # otherwise each forked process would copy all loaded objects

    def change(self, file: str, source: str) -> bool:
        """Replace the code of functions that differ in this source of a file; return whether the change has effect.

        It also has effect if the module is not loaded yet, since it will be loaded from the changed file.
        """
        path = str(ROOT / file)
        if not any(key[0] == path for key in self._functions):
            return True
        changed = False
        for code in _codes(compile(source, path, "exec", dont_inherit=True)):
            for function in self._functions.get(_key(code), ()):
                if function.__code__ != code and function.__code__.co_freevars == code.co_freevars:
                    function.__code__ = code
                    changed = True
        return changed

    def run(self, tests: Sequence[str], plugin: object, *, until_one_fails: bool = True) -> int:
        """Run these tests in this process, and return an exit code as pytest does."""
        runner: Any = importlib.import_module("_pytest.runner")
        main: Any = importlib.import_module("_pytest.main")
        session = self._session
        session.config.option.maxfail = 1 if until_one_fails else 0
        session.config.pluginmanager.register(plugin)
        session.items = [self._items[test] for test in tests]
        try:
            main.pytest_runtestloop(session)
        except session.Failed:
            return 1
        finally:
            runner.pytest_sessionfinish(session)  # ends what the tests share, such as a database server
        return 1 if session.testsfailed else 0


class _Loading:
    """A plugin of pytest that calls `work` with the session instead of running the tests."""

    def __init__(self, work: Callable[[Loaded], None]) -> None:
        self._work = work

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._work(Loaded(session))
        return True


def with_loaded(files: Sequence[str], work: Callable[[Loaded], None]) -> None:
    """Load these files of tests and the program in this process, and call `work` with them."""
    words = ["-q", "-s", "-n0", "--assert=plain", "--tb=line", "-p", "no:cacheprovider", *files]
    pytest.main(words, plugins=[_Loading(work)])


def _codes(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)


def _key(code: CodeType) -> _Key:
    return str(Path(code.co_filename)), code.co_qualname, code.co_firstlineno

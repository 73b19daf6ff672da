"""Threads that do the journal's work, one piece after the other, while the event loop goes on."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """A fixed number of threads, started at the first needs.

    Python's own `ThreadPoolExecutor` makes a future of its own beside the event loop's, with locks and callbacks. For
    the two pieces of work of a placing call this is a fiftieth of the whole call (`bench/place_order.py`).
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._work = SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None]()
        self._started = 0
        self._has_ended = False

    def do(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Begin `work` as soon as a thread is free, and return the future of what it returns or raises."""
        if self._has_ended:
            raise RuntimeError("these threads have ended")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._work.put((work, done))
        if self._started < self._most:
            self._started += 1
            # Whoever needs what a thread does waits for it, so that the program may end beside one that works.
            Thread(target=self._go_on, name=f"{self._name}-{self._started}", daemon=True).start()
        return done

    def end(self) -> None:
        """End the threads when all work is done."""
        self._has_ended = True
        for _ in range(self._started):
            self._work.put(None)

    def _go_on(self) -> None:
        while (given := self._work.get()) is not None:
            work, done = given
            result, failure = None, None
            try:
                result = work()
            except BaseException as error:
                failure = error
            with suppress(RuntimeError):  # the loop is closed, so nobody waits
                done.get_loop().call_soon_threadsafe(_settle, done, result, failure)
            del given, work, done, result, failure  # nothing of it is kept until the next work comes


def _settle(done: asyncio.Future[T], result: T, failure: BaseException | None) -> None:
    if done.done():  # cancelled
        return
    if failure is None:
        done.set_result(result)
    else:
        done.set_exception(failure)

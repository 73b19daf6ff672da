"""The bytes of a request with secrets in it are shown by nothing, and sent as they are."""

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from zinc_mcp.network import Exchange
from zinc_mcp.secret_body import SecretBody

PLANTED = b'{"password":"pl4nted-51c7"}'
BODY = SecretBody(PLANTED)


def test_no_printed_form_shows_a_secret_body() -> None:
    shown = [repr(BODY), str(BODY), f"{BODY}", f"{BODY!r:>40}", repr([BODY]), repr({"a": BODY})]
    assert not any("pl4nted" in text for text in shown)
    with pytest.raises(TypeError) as refused:
        format(BODY, ">40")
    assert "pl4nted" not in str(refused.value)
    assert not hasattr(BODY, "__dict__") and BODY.revealed() == PLANTED


def test_a_secret_body_is_neither_copied_nor_written_down() -> None:
    ways: list[tuple[Callable[[Any], object], Any]] = [(each, BODY) for each in (copy.copy, bytes, iter)]
    ways += [(each, thing) for each in (pickle.dumps, copy.deepcopy, json.dumps) for thing in (BODY, [BODY])]
    for write, thing in ways:
        with pytest.raises(TypeError) as refused:
            write(thing)
        assert "pl4nted" not in "".join(traceback.format_exception(refused.value))


def test_a_secret_body_does_not_change() -> None:
    for name in ("_SecretBody__content", "note"):
        with pytest.raises(AttributeError):
            setattr(BODY, name, b"other")


async def test_exactly_these_bytes_are_sent_and_a_failure_does_not_show_them() -> None:
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        if len(sent) > 1:
            raise httpx.ReadError("lost", request=request)
        return httpx.Response(200, json={})

    exchange = Exchange("https://api.zinc.io/v1", transport=httpx.MockTransport(answer))
    await exchange.ask("POST", "/orders", {}, seconds=5, content=BODY)
    with pytest.raises(Exception) as lost:  # of two kinds, and neither matters here
        await exchange.ask("POST", "/orders", {}, seconds=5, content=BODY)
    assert sent == [PLANTED, PLANTED]
    assert "pl4nted" not in "".join(traceback.format_exception(lost.value))

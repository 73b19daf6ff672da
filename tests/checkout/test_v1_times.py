"""A process that orders through v1 hears Zinc's time, also if the first question for it is not answered."""

import httpx
import pytest
from pydantic import SecretStr

from zinc_mcp.rails.v1 import V1Rail
from zinc_mcp.zinc.v1.client import V1Client


@pytest.mark.parametrize(("lost", "asked"), [(0, 1), (1, 2), (2, 2)])
async def test_the_time_is_asked_for_once_more_if_no_answer_came(lost: int, asked: int) -> None:
    heard: list[float] = []
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if len(requests) <= lost:
            raise httpx.ReadTimeout("no answer", request=request)
        return httpx.Response(200, json=[], headers={"Date": "Fri, 27 Nov 2026 22:00:00 GMT"})

    client = V1Client(
        "https://zinc.example/v1",
        transport=httpx.MockTransport(answer),
        on_date=lambda date: heard.append(date or 0.0),
    )
    await V1Rail(client, SecretStr("token"), "live").ask_the_time()
    await client.aclose()
    assert len(requests) == asked
    assert heard == ([] if lost >= asked else [1_795_816_800.0])

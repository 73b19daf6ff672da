"""A receipt and an export name the variant that was asked for."""

import csv
import io
import time
from pathlib import Path

import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from server.as_a_host import call, host
from started import Started
from wanted import arguments, book


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ([{"label": "Size", "value": "M"}], "(Size: M)"),
        ([{"label": "Colour", "value": "=red"}, {"label": "Size", "value": "10"}], "(Colour: =red, Size: 10)"),
    ],
)
async def test_the_variant_of_an_item_is_in_its_receipt_and_its_export(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: HandClock,
    tmp_path: Path,
    variant: list[dict[str, str]],
    words: str,
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        products = [{**book(1)[0], "variant": variant}]
        order = await call(client, "place_order", arguments(products=products))
    started = Started(tmp_path)
    shown = started.run("orders", "show", order["key"]).stdout
    assert words in shown
    month = time.strftime("%Y-%m", time.gmtime(clock()))
    rows = csv.DictReader(io.StringIO(started.run("orders", "export", "--month", month, "--mode", "all").stdout))
    assert [words in row["items"] for row in rows] == [True]

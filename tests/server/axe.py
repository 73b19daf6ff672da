"""axe-core, which finds what keeps people from using a page; tests skip where it is not at hand."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from server.chromium import DESKTOP, PHONE, Person

PACKAGE = "axe-core@4.10.3"
"""A version that is named, so that a new rule of theirs is no failure of a change of ours."""
SIZES = ((320, 568), PHONE, DESKTOP)
GIVEN = "ZINC_MCP_AXE"
"""A variable with the path of `axe.min.js`, for a machine that has it already."""

_RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, { preload: false, resultTypes: ["violations", "incomplete"], runOnly: { type: "tag", values: [
  "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] } }).then(
  (found) => done(found.violations.concat(found.incomplete.filter((each) => each.id === "color-contrast")).map(
    (each) => each.id + ": " + each.nodes.map((node) => node.html.slice(0, 120)).join(" | "))),
  (error) => done(["axe failed: " + error]));
"""
_WIDE = "return document.documentElement.scrollWidth - innerWidth"


def complaints(person: Person) -> list[str]:
    """Look at the page on each screen, light and dark; return what axe objects to, and by how much it is too wide."""
    script, found = source(), list[str]()
    for size in SIZES:
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            person.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            person.hold(size)
            person.driver.execute_script(script)
            said: list[str] = person.driver.execute_async_script(_RUN)
            found += [f"{size[0]} {scheme}: {each}" for each in said]
            wide: int = person.driver.execute_script(_WIDE)
            found += [f"{size[0]} {scheme}: {wide} too wide"] if wide > 0 else []
    person.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    person.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    return found


@cache
def source() -> str:
    """Return the script of axe-core: the file that `ZINC_MCP_AXE` names, or the package, taken from npm's registry."""
    if given := os.environ.get(GIVEN):
        return Path(given).read_text(encoding="utf-8")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"needs axe-core: npm, or {GIVEN} with the path of axe.min.js")
    with TemporaryDirectory() as folder:
        words = [npm, "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE]
        try:
            subprocess.run(words, capture_output=True, timeout=120, check=True, cwd=folder)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"needs axe-core, which npm did not give ({type(error).__name__})")
        return (Path(folder) / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def objection_to(document: str, person: Person, folder: Path) -> list[Any]:
    """Return what axe objects to in a document of its own, to show that it does object."""
    path = folder / "bad.html"
    path.write_text(document, encoding="utf-8")
    person.show(path)
    return complaints(person)

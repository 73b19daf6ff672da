"""The documentation's site has every page, once. `.ci/full` builds it, and a warning is an error there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from started import ROOT

SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
PAGES = {path.name for path in (ROOT / "docs").glob("*.md")}


def test_every_page_is_in_the_sites_table_of_contents_once() -> None:
    named = re.findall(r"[\w-]+\.md", SITE.partition("\nnav:\n")[2])
    assert sorted(named) == sorted(PAGES)


def test_the_first_page_leads_to_all_others() -> None:
    first = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert PAGES - set(re.findall(r"\]\(([\w-]+\.md)", first)) == {"index.md"}


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    if (mkdocs := shutil.which("mkdocs")) is None:
        pytest.skip("mkdocs is not there: it comes with the extra docs, as in .ci/full")
    words = [mkdocs, "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    ended = subprocess.run(words, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode()
    loaded = re.compile(r"(?:src|href)=\"?(https?:[^\"> ]+\.(?:js|css|woff2?))")
    pages = sorted((tmp_path / "site").glob("*.html"))
    assert len(pages) > len(PAGES)
    assert [found for page in pages for found in loaded.findall(page.read_text(encoding="utf-8"))] == []


def test_the_built_site_loads_nothing_from_elsewhere() -> None:
    assert 'mkdocs" build --strict' in (ROOT / ".ci" / "full").read_text(encoding="utf-8")
    assert "font: false" in SITE
    assert "site_url" not in SITE and "repo_url" not in SITE, "an address that nobody owns yet is not put here"

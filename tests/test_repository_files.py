"""The repository's links lead somewhere, and its GitHub files name what exists."""

import re
from pathlib import Path

import pytest
from documents import DOCUMENTS
from started import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
OTHERS = {"pypa/gh-action-pypi-publish@release/v1"}
"""The index's own action for trusted publishing, which is kept up to date on that branch."""
FORMS = [GITHUB / "ISSUE_TEMPLATE" / name for name in ("bug.yml", "question.yml")]


def _name(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md"])
def test_every_link_within_the_repository_leads_somewhere(document: str) -> None:
    text = without_blocks((ROOT / document).read_text(encoding="utf-8"))
    linked = [*re.findall(r"\]\(([^)\s]+)[^)]*\)", text), *re.findall(r"(?:src|href)=\"([^\"]+)\"", text)]
    for target in linked:
        if "://" in target:
            assert re.fullmatch(r"https://[\w.-]+(?:/[^\s]*)?", target), target
            continue
        name, _, heading = target.partition("#")
        page = (ROOT / document).parent / name if name else ROOT / document
        assert page.exists(), target
        assert not heading or heading in headings(page), target


def headings(page: Path) -> set[str]:
    """Return the names by which the headings of a page are linked."""
    lines = re.findall(r"^#+ (.*)", without_blocks(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


def without_blocks(text: str) -> str:
    """Return a page without what stands in fences, where a line that begins with # is no heading."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_page_of_the_site_links_only_to_pages_of_the_site(document: str) -> None:
    if document.startswith("docs/"):
        text = without_blocks((ROOT / document).read_text(encoding="utf-8"))
        assert [target for target in re.findall(r"\]\(([^)\s]+)", text) if target.startswith(("..", "/"))] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=_name)
def test_a_workflow_uses_official_actions_of_one_major_version(workflow: Path) -> None:
    used = re.findall(r"uses: (\S+)", workflow.read_text(encoding="utf-8"))
    assert used
    assert [each for each in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", each) and each not in OTHERS] == []
    assert set(used) & OTHERS == (OTHERS if workflow.name == "release.yml" else set())


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=_name)
def test_a_workflow_may_only_read_and_ends_in_time(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    assert re.findall(r"^permissions:\n((?:  .*\n)+)", text, re.MULTILINE) == ["  contents: read\n"]
    assert text.count("runs-on:") == len(re.findall(r"timeout-minutes: \d+", text)) > 0
    assert "secrets." not in text
    granted = re.findall(r"^    permissions:\n((?:      .*\n)+)", text, re.MULTILINE)
    assert [re.sub(r" *#.*", "", each) for each in granted] == (
        ["      id-token: write\n"] if workflow.name == "release.yml" else []
    )


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=_name)
def test_a_workflow_runs_what_there_is(workflow: Path) -> None:
    named = re.findall(r"(?:tests|\.ci)/[\w./]+", re.sub(r"#.*", "", workflow.read_text(encoding="utf-8")))
    assert named
    assert [each for each in named if not (ROOT / each).is_file()] == []


def test_the_workflows_run_the_checks_and_the_readme_says_that_nobody_has_run_them() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "full.yml", "release.yml"]
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        assert f"run: bash .ci/{'full' if path.name == 'full.yml' else 'run'}\n" in text
        assert "not run yet" in text.replace("\n# ", " ")
    assert "written and have not run yet" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", FORMS, ids=_name)
def test_a_form_asks_for_the_doctor_and_warns_of_secrets(form: Path) -> None:
    text = form.read_text(encoding="utf-8")
    assert "label: The output of `zinc-mcp doctor`" in text
    assert "**Put no secret here**" in text
    assert "there is no secret" in text


def test_a_pull_request_is_asked_how_it_is_proved() -> None:
    text = (GITHUB / "PULL_REQUEST_TEMPLATE.md").read_text(encoding="utf-8")
    assert "Put no secret here" in text and "## Proof" in text
    assert [each for each in re.findall(r"`([\w./]+\.(?:md|py|json))`", text) if not (ROOT / each).is_file()] == []


def test_the_bundle_holds_no_files_for_developers() -> None:
    ignored = (ROOT / ".mcpbignore").read_text(encoding="utf-8").splitlines()
    assert {"ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", ".git*", ".ci", "tests", "bench"} <= set(ignored)

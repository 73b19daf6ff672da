"""Printed commands match how the program was started."""

import sys
from pathlib import Path

import pytest

from zinc_mcp.invocation import invocation


def _executable(folder: Path, name: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text("", encoding="utf-8")
    program.chmod(0o755)
    return str(program)


def test_a_program_on_the_path_is_called_by_its_name(tmp_path: Path) -> None:
    program = _executable(tmp_path / "bin", "zinc-mcp")
    assert invocation([program], {"PATH": str(tmp_path / "bin")}) == "zinc-mcp"


def test_a_program_elsewhere_is_called_by_its_path(tmp_path: Path) -> None:
    program = _executable(tmp_path / "my tools", "zinc-mcp")
    assert invocation([program], {"PATH": "/nowhere"}) == f"'{program}'"


def test_another_program_of_the_same_name_on_the_path_is_not_ours(tmp_path: Path) -> None:
    ours = _executable(tmp_path / "ours", "zinc-mcp")
    _executable(tmp_path / "theirs", "zinc-mcp")
    assert invocation([ours], {"PATH": str(tmp_path / "theirs")}) == ours


@pytest.mark.parametrize("folder", ["cache/uv/archive-v0/3xYz/bin", "elsewhere/archive-v0/3xYz/bin"])
def test_a_program_run_by_uvx_is_called_through_uvx(tmp_path: Path, folder: str) -> None:
    program = _executable(tmp_path / folder, "zinc-mcp")
    assert invocation([program], {"PATH": str(tmp_path / folder), "UV": "/usr/bin/uv"}) == "uvx zinc-mcp"


def test_the_module_is_called_with_the_interpreter_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = ["/somewhere/zinc_mcp/__main__.py"]
    interpreter = _executable(tmp_path / "venv", "python3")
    monkeypatch.setattr(sys, "executable", interpreter)
    assert invocation(started, {"PATH": "/nowhere"}) == f"{interpreter} -m zinc_mcp"
    assert invocation(started, {"PATH": str(tmp_path / "venv")}) == "python3 -m zinc_mcp"
    (tmp_path / "venv" / "python").symlink_to(interpreter)
    assert invocation(started, {"PATH": str(tmp_path / "venv")}) == "python -m zinc_mcp"


def test_an_interpreter_that_only_links_to_the_same_one_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = _executable(tmp_path / "base", "python")
    (tmp_path / "venv").mkdir()
    ours = tmp_path / "venv" / "python"
    ours.symlink_to(base)
    monkeypatch.setattr(sys, "executable", str(ours))
    started = ["/somewhere/zinc_mcp/__main__.py"]
    assert invocation(started, {"PATH": str(tmp_path / "base")}) == f"{ours} -m zinc_mcp"

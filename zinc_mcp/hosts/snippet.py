"""The text to paste into a host's file by hand."""

import json
from collections.abc import Mapping
from typing import Any, cast

from zinc_mcp.hosts.entries import NAME
from zinc_mcp.hosts.formats.toml_text import table_text
from zinc_mcp.hosts.table import Host


def snippet(host: Host, entry: Mapping[str, Any]) -> str:
    """Return a whole file of a host that has only our entry."""
    if host.form == "toml":
        return table_text(host.key, NAME, entry).rstrip("\n")
    if host.form == "yaml":
        return "\n".join(_yaml({host.key[0]: {NAME: entry}}, ""))
    whole: object = {NAME: entry}
    for key in reversed(host.key):
        whole = {key: whole}
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _yaml(value: Mapping[str, Any], indent: str) -> list[str]:
    """Return lines of YAML, whose scalars and lists may be written as in JSON (yaml.org/spec/1.2.2, 1.3)."""
    lines: list[str] = []
    for key, each in value.items():
        if isinstance(each, dict) and each:
            lines += [f"{indent}{key}:", *_yaml(cast(dict[str, Any], each), f"{indent}  ")]
        else:
            lines.append(f"{indent}{key}: {json.dumps(each, ensure_ascii=False)}")
    return lines

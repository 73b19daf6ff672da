"""For any text that a host reads: one entry comes, one entry goes, and every other character stays."""

import json
import tomllib
from typing import Any, cast

from hosts.shapes import comments_of, without_comments
from hypothesis import example, given
from hypothesis import strategies as st
from variants import examples

from zinc_mcp.hosts import editing
from zinc_mcp.hosts.editing import put, take, uncut
from zinc_mcp.hosts.formats.jsonc import UnreadableTextError

ENTRY: dict[str, Any] = {"command": "/a b/zinc-mcp", "args": ["é", '"'], "env": {"ZINC_MCP_SANDBOX": "1"}}
PATHS = (("mcpServers",), ("mcp", "servers"))
MORE = examples(250)

names = st.sampled_from(["mcpServers", "mcp", "servers", "zinc", "a", "b", "//", "/*", ",}", "é", "\\", '"', "\n"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    names,
    st.text(max_size=6),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
roots = st.dictionaries(names, values, max_size=4)
line_ends = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def json_texts(draw: st.DrawFn, comments: bool) -> str:
    """Write an object with any blanks, and if wanted with comments and trailing commas."""
    end = draw(line_ends)
    blanks = ["", "", " ", "  ", "\t", end, f"{end}    "]
    if comments:
        blanks += ["/* , } */", '/*"*/', f'// x " {{ {end}', f" // }}{end}  ", "/**/"]
    gap = st.lists(st.sampled_from(blanks), max_size=2).map("".join)

    def written(value: object) -> str:
        if isinstance(value, dict):
            named = cast(dict[str, object], value).items()
            members = [f"{draw(gap)}{json.dumps(k)}{draw(gap)}:{draw(gap)}{written(v)}{draw(gap)}" for k, v in named]
            return "{" + ",".join(members) + last(members) + "}"
        if isinstance(value, list):
            items = [f"{draw(gap)}{written(each)}{draw(gap)}" for each in cast(list[object], value)]
            return "[" + ",".join(items) + last(items) + "]"
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    def last(parts: list[str]) -> str:
        comma = "," if comments and parts and draw(st.booleans()) else ""
        return comma + draw(gap)

    begin = draw(st.sampled_from(["", "\ufeff"]))
    return f"{begin}{draw(gap)}{written(draw(roots))}{draw(gap)}"


def read_json(text: str) -> Any:
    return json.loads(without_comments(text.removeprefix("\ufeff")))


def check(form: Any, text: str, path: tuple[str, ...]) -> None:
    reader = tomllib.loads if form == "toml" else read_json
    try:
        before = editing.servers(editing.read(form, text), path)
        change = put(form, text, path, "zinc", ENTRY)
    except UnreadableTextError:
        return  # a refusal changes nothing
    at: Any = reader(change.text.removeprefix("\ufeff"))
    for key in (*path, "zinc"):
        at = at[key]
    assert at == ENTRY
    gone = take(form, change.text, path, "zinc", change.made)
    if "zinc" not in before:
        if change.cuts is not None:
            assert uncut(change.text, change.cuts) == text
        assert canonical(reader(gone.text.removeprefix("\ufeff"))) == canonical(reader(text.removeprefix("\ufeff")))
    if form != "toml":
        assert comments_of(change.text) == comments_outside(text, path)
        left = iter(comments_outside(text, path))
        assert all(comment in left for comment in comments_of(gone.text))
        if "zinc" not in before:  # a comment within an entry of our name goes with it
            assert next(left, None) is None


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def comments_outside(text: str, path: tuple[str, ...]) -> list[str]:
    """Return the comments outside an entry of our name, which goes with its comments."""
    change = put("jsonc", text, path, "zinc", {})
    return comments_of(change.text)


@MORE
@given(text=json_texts(comments=False), path=st.sampled_from(PATHS))
@example(text='{"mcpServers":{"zinc":{}, "a":1}}', path=PATHS[0])
def test_one_entry_comes_and_goes_in_any_json(text: str, path: tuple[str, ...]) -> None:
    check("json", text, path)


@MORE
@given(text=json_texts(comments=True), path=st.sampled_from(PATHS))
@example(text='{"mcpServers": { // x\n"zinc": {} }}', path=PATHS[0])
@example(text='{"mcpServers": {"a": 1 // x\n}}', path=PATHS[0])
@example(text='{"mcpServers": {/**/} // }', path=PATHS[0])
@example(text='{"mcpServers":{"a":null,"zinc":/* , } */null}}', path=PATHS[0])
def test_one_entry_comes_and_goes_in_any_json_with_comments(text: str, path: tuple[str, ...]) -> None:
    check("jsonc", text, path)


@st.composite
def toml_texts(draw: st.DrawFn) -> str:
    """Write tables in any order, with comments, long texts, dotted names and inline tables."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    value = st.sampled_from(
        ["1", "nan", "1979-05-27", '"x # ]"', "'['", '"""\n[mcp_servers.zinc]\n"""', "'''\n#'''''", "[ 1, # c\n 2 ]",
         "{ a = 1 }", '{ b = { c = "}" } }', '""', '"\\""', "[[1], ['=']]", '"""a\\"""""']
    )  # fmt: skip
    key = st.sampled_from(["a", "'b c'", '"zinc"', "d.e", "f . g", "zinc.command", "1"])
    header = st.sampled_from(
        ["[a]", "[mcp_servers.docs]", "[mcp_servers]", "[mcp_servers.zinc]", "[mcp_servers.zinc.env]", "[ x . 'y' ]",
         "[[list]]", "[mcp_servers.'zinc'.tools.t]", "[[mcp_servers.docs.many]]", "[other.mcp_servers.zinc]"]
    )  # fmt: skip
    comment = st.sampled_from(["", "", " # c", " # [x] = '"])
    lines: list[str] = []
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["pair", "pair", "header", "blank", "comment", "inline", "dotted"]))
        indent = draw(st.sampled_from(["", "  "]))
        if kind == "pair":
            lines.append(f"{indent}{draw(key)} = {draw(value)}{draw(comment)}")
        elif kind == "header":
            lines.append(f"{indent}{draw(header)}{draw(comment)}")
        elif kind == "inline":
            lines.append(f"mcp_servers = {{ docs = {{ a = {draw(st.integers())} }} }}{draw(comment)}")
        elif kind == "dotted":
            lines.append(f"mcp_servers.{draw(key)} = {draw(value)}")
        else:
            lines.append("" if kind == "blank" else f"{indent}# c [mcp_servers.zinc]")
    text = end.join(lines) + draw(st.sampled_from(["", end]))
    return draw(st.sampled_from(["", "", "\ufeff"])) + text


@MORE
@given(text=toml_texts())
@example(text="[mcp_servers.zinc]\na = 1\n[x]\n[mcp_servers.zinc.env]\nb = 2")
@example(text="mcp_servers = { docs = { a = 1 } }")
def test_one_entry_comes_and_goes_in_any_toml(text: str) -> None:
    check("toml", text, ("mcp_servers",))

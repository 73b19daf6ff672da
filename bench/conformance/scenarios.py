"""The scenarios of MCP's conformance suite, for each server that it runs against.

The suite is written for servers that offer its own tools, resources and prompts (`test_simple_text` and others). A
server that people use has others, so most scenarios cannot test it. So the suite runs twice: against the server as
people use it, and against the same server with the suite's tools, resources and prompts added
(`bench.conformance.served`), which can pass every scenario that is required of a server.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PACKAGE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
"""The first version with `--requirements` for both revisions. It is pinned, because a later one may judge otherwise."""

PROGRAM = "dist/index.js"
REQUIREMENTS = "requirements"
"""The folder of the package that holds the scenarios which each revision requires."""


@dataclass(frozen=True)
class Target:
    """A server that the suite tests, and the expected results."""

    title: str
    explanation: str
    program: tuple[str, ...]
    """The arguments of `python` that serve it; `{port}` is its port on loopback."""
    ours: Mapping[str, tuple[str, ...]]
    """The scenarios that must pass, by revision of the protocol."""
    expected: Mapping[tuple[str, str, str], str]
    """The reasons why checks are expected to fail, by revision, scenario and check."""
    left_out: Mapping[str, tuple[str, ...]]
    """The scenarios that need not pass, by the reason. They still check the form of each message."""
    has_fixtures: bool
    """Whether it has the suite's tools, resources and prompts. Then each scenario that a revision requires must pass,
    and one that is left out must fail or check nothing."""


_NO_EXTENSION = "needs an extension that is optional and not offered (tasks, skills)"
_EXTENSIONS = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-status-notifications",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
    "sep-2640-skills-directory",
    "sep-2640-skills-enumeration",
    "sep-2640-skills-manifest",
)
_NO_REPLAY = (
    "Optional (SHOULD), and the suite does not count it. The server keeps no messages for a stream that is taken up "
    "again; a host that lost an answer asks again, and the journal answers."
)

_BOTH = ("2025-11-25", "2026-07-28")
_OLDER, _NEWER = _BOTH[:1], _BOTH[1:]
_WITH_FIXTURES: Mapping[str, Mapping[tuple[str, ...], tuple[str, ...]]] = {
    "calls a tool of the suite's own": {
        _BOTH: (
            "tools-call-simple-text",
            "tools-call-image",
            "tools-call-audio",
            "tools-call-embedded-resource",
            "tools-call-mixed-content",
            "tools-call-error",
            "tools-call-with-progress",
            "json-schema-2020-12",
        ),
        _OLDER: (
            "tools-call-with-logging",
            "tools-call-sampling",
            "tools-call-elicitation",
            "elicitation-sep1034-defaults",
            "elicitation-sep1330-enums",
            "server-sse-polling",
        ),
        _NEWER: (
            "input-required-result-basic-elicitation",
            "input-required-result-basic-sampling",
            "input-required-result-basic-list-roots",
            "input-required-result-request-state",
            "input-required-result-multiple-input-requests",
            "input-required-result-multi-round",
            "input-required-result-missing-input-response",
            "input-required-result-result-type",
            "input-required-result-tampered-state",
            "input-required-result-capability-check",
            "input-required-result-ignore-extra-params",
            "input-required-result-validate-input",
        ),
    },
    "reads a resource of the suite's own": {
        _BOTH: (
            "resources-read-text",
            "resources-read-binary",
            "resources-templates-read",
        ),
        _OLDER: (
            "resources-subscribe",
            "resources-unsubscribe",
        ),
    },
    "gets a prompt of the suite's own": {
        _BOTH: (
            "prompts-get-simple",
            "prompts-get-with-args",
            "prompts-get-embedded-resource",
            "prompts-get-with-image",
        ),
        _NEWER: ("input-required-result-non-tool-request",),
    },
    "needs a capability that is optional and not declared (logging, completions)": {
        _BOTH: ("completion-complete",),
        _OLDER: ("logging-set-level",),
    },
    "needs an argument that is also a header (`x-mcp-header`), which is optional; no tool has one": {
        _NEWER: ("http-custom-header-server-validation",),
    },
}
"""The scenarios that pass only with the fixtures, by the reason and by revision."""

PLAIN = Target(
    title="The server as people use it",
    explanation="Most scenarios call tools, resources and prompts of the suite's own, which this server does not have.",
    program=("-m", "zinc_mcp", "serve", "--http", "127.0.0.1:{port}"),
    ours={
        "2025-11-25": (
            "server-initialize",
            "server-session-lifecycle",
            "ping",
            "tools-list",
            "resources-list",
            "prompts-list",
            "server-sse-multiple-streams",
            "dns-rebinding-protection",
        ),
        "2026-07-28": (
            "server-stateless",
            "tools-list",
            "caching",
            "resources-list",
            "prompts-list",
            "sep-2164-resource-not-found",
            "dns-rebinding-protection",
            "server-sse-multiple-streams",
            "http-header-validation",
            "input-required-result-unsupported-methods",
        ),
    },
    expected={
        ("2026-07-28", "server-stateless", "sep-2575-server-rejects-undeclared-capability"): (
            "Needs the suite's tool `test_missing_capability`."
        ),
        ("2026-07-28", "server-stateless", "sep-2575-missing-capability-http-400"): (
            "Needs the suite's tool `test_missing_capability`."
        ),
        ("2026-07-28", "server-stateless", "sep-2575-http-server-no-independent-requests-on-stream"): (
            "Needs the suite's tool `test_streaming_elicitation`."
        ),
        ("2026-07-28", "server-stateless", "sep-2575-server-no-log-without-loglevel"): (
            "Needs the suite's tool `test_logging_tool`."
        ),
    },
    left_out={
        **{
            reason: tuple(name for names in by_revision.values() for name in names)
            for reason, by_revision in _WITH_FIXTURES.items()
        },
        _NO_EXTENSION: _EXTENSIONS,
    },
    has_fixtures=False,
)

FIXTURES = Target(
    title="The same server with the suite's tools, resources and prompts",
    explanation=(
        "The suite's fixtures are added to the server's own, and the requests that belong to them (levels of the log, "
        "completion, subscriptions). Everything before and around them is the server's: the connection, the checks of "
        "names, token and size, the shares, the sessions, the middleware and the protection of state."
    ),
    program=("-m", "bench.conformance.served", "{port}"),
    ours={
        revision: (
            *names,
            *(
                name
                for by_revision in _WITH_FIXTURES.values()
                for revisions, added in by_revision.items()
                if revision in revisions
                for name in added
            ),
        )
        for revision, names in PLAIN.ours.items()
    },
    expected={
        ("2025-11-25", "server-sse-polling", "server-sse-priming-event"): _NO_REPLAY,
        ("2025-11-25", "server-sse-polling", "server-sse-retry-field"): _NO_REPLAY,
    },
    left_out={_NO_EXTENSION: _EXTENSIONS},
    has_fixtures=True,
)

TARGETS = (PLAIN, FIXTURES)

"""The scenarios of MCP's conformance suite: those for us, the checks that fail in them and why, and the others.

The suite is written for servers that offer its own tools, resources and prompts (`test_simple_text` and others). A
server that people use has others, so that most scenarios can say nothing about it.
"""

from collections.abc import Mapping

PACKAGE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
"""The first version with `--requirements` for both revisions. It is exact, since a later one may judge otherwise."""

PROGRAM = "dist/index.js"

OURS: Mapping[str, tuple[str, ...]] = {
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
}
"""By revision of the protocol: the scenarios that any server can pass."""

EXPECTED: Mapping[tuple[str, str, str], str] = {
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
}
"""By revision, scenario and check: the reason why a check may fail."""

LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "calls a tool of the suite's own": (
        "tools-call-simple-text",
        "tools-call-image",
        "tools-call-audio",
        "tools-call-embedded-resource",
        "tools-call-mixed-content",
        "tools-call-with-logging",
        "tools-call-error",
        "tools-call-with-progress",
        "tools-call-sampling",
        "tools-call-elicitation",
        "elicitation-sep1034-defaults",
        "elicitation-sep1330-enums",
        "json-schema-2020-12",
        "server-sse-polling",
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
    "reads a resource of the suite's own": (
        "resources-read-text",
        "resources-read-binary",
        "resources-templates-read",
        "resources-subscribe",
        "resources-unsubscribe",
    ),
    "gets a prompt of the suite's own": (
        "prompts-get-simple",
        "prompts-get-with-args",
        "prompts-get-embedded-resource",
        "prompts-get-with-image",
        "input-required-result-non-tool-request",
    ),
    "needs a capability that is optional and not declared (logging, completions)": (
        "logging-set-level",
        "completion-complete",
    ),
    "needs an argument that is also a header (`x-mcp-header`), which is optional; no tool has one": (
        "http-custom-header-server-validation",
    ),
    "needs an extension that is not offered (tasks, skills)": (
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
    ),
}
"""By the reason: the scenarios that can say nothing about us. They still check the form of each message."""

"""Cleaning of spans: only listed names, words and numbers, and times, leave this machine.

A host chooses the names and ids in its messages, an error's text may quote an order, and other libraries make spans of
any form. So a new span is made, and only attributes that are known to be harmless are copied into it.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, Status

from zinc_mcp.known_settings import TOOLS

NAME = "zinc_mcp"
"""The name of our own tracer."""
_OF_THE_SDK = "mcp-python-sdk"

METHODS = frozenset(
    {
        *("initialize", "ping", "server/discover", "tools/list", "tools/call", "prompts/list", "prompts/get"),
        *("resources/list", "resources/read", "resources/templates/list", "resources/subscribe"),
        *("resources/unsubscribe", "completion/complete", "logging/setLevel", "subscriptions/listen"),
        *("notifications/initialized", "notifications/cancelled", "notifications/progress"),
        *("notifications/roots/list_changed", "elicitation/create", "sampling/createMessage", "roots/list"),
    }
)
"""The methods of the protocol. A host may send any other word."""
_OTHER = "other"
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,79}")
_CODE = re.compile(r"-?[0-9]{1,6}|[A-Za-z_][A-Za-z0-9_]{0,59}")
_TEMPLATE = re.compile(r"(?:/(?:[a-z]{1,20}|\{\}))*/?")


def _is_word(value: object) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


_TAKEN: Mapping[str, Callable[[object], bool]] = {
    "mcp.method.name": lambda value: value in METHODS,
    "mcp.protocol.version": lambda value: re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", str(value)) is not None,
    "gen_ai.operation.name": lambda value: value == "execute_tool",
    "gen_ai.tool.name": lambda value: value in TOOLS,
    "error.type": lambda value: _CODE.fullmatch(str(value)) is not None,
    "rpc.response.status_code": lambda value: re.fullmatch(r"-?[0-9]{1,6}", str(value)) is not None,
}
"""The attributes of the SDK's spans that are copied, each with the check of its value."""
_OURS: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(("zinc_mcp.ending", "zinc_mcp.code", "zinc_mcp.service", "code.function.name"), _is_word),
    "zinc_mcp.reference": lambda value: re.fullmatch(r"[0-9a-f]{8}", str(value)) is not None,
    "http.request.method": lambda value: value in ("GET", "POST", "PUT", "PATCH", "DELETE"),
    "http.response.status_code": lambda value: type(value) is int and 100 <= value <= 999,
    "url.template": lambda value: _TEMPLATE.fullmatch(str(value)) is not None,
    "error.type": _TAKEN["error.type"],
}
_STEPS = ("journal", "wire", "wallet", "person")
_OF_A_SERVER = re.compile(r"(?:service|deployment|k8s|container|cloud)\.[a-z0-9._]{1,60}")
"""The names of the attributes in OTEL_RESOURCE_ATTRIBUTES that are sent: those of a service, none of a person."""


def resource() -> Resource:
    """Return the attributes of this server for all spans and metrics: no user, path or argument of the program."""
    try:
        own = version("zinc-mcp")
    except PackageNotFoundError:
        own = "0"
    given = OTELResourceDetector().detect().attributes
    taken = {name: value for name, value in given.items() if _OF_A_SERVER.fullmatch(name)}
    about = {"service.name": "zinc-mcp", "service.version": own, "service.instance.id": str(uuid.uuid4())}
    return Resource({**about, **taken})


def clean(span: ReadableSpan, about: Resource) -> ReadableSpan | None:
    """Return a copy of a span with harmless attributes alone; None for a span of another library.

    Args:
        span: the span as it was made.
        about: see `resource`.
    """
    scope, context = span.instrumentation_scope, span.context
    if scope is None or context is None or scope.name not in (NAME, _OF_THE_SDK):
        return None
    listed = _OURS if scope.name == NAME else {**_OURS, **_TAKEN}
    facts = {name: value for name, value in (span.attributes or {}).items() if name in listed and listed[name](value)}
    return ReadableSpan(
        name=_name(span, facts),
        context=_without_state(context),
        parent=None if span.parent is None else _without_state(span.parent),
        resource=about,
        attributes=facts,
        kind=span.kind,
        status=Status(span.status.status_code),  # its description is the text of an error
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )


def _name(span: ReadableSpan, facts: Mapping[str, object]) -> str:
    if span.name in _STEPS:
        return span.name
    method = str(facts.get("mcp.method.name", _OTHER))
    return " ".join(filter(None, (method, str(facts.get("gen_ai.tool.name", "")))))


def _without_state(context: SpanContext) -> SpanContext:
    """Return a context without the state that a host has sent along (W3C Trace Context, `tracestate`)."""
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)

"""A collector of OpenTelemetry on loopback: it keeps what is sent to it by OTLP over HTTP."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Collector:
    """The spans and figures that a server has sent."""

    address: str = ""
    sent: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    """The path and the body of each request."""
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    @property
    def variables(self) -> dict[str, str]:
        """The variables that ask a server to send everything here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.address, "NO_PROXY": "127.0.0.1"}

    def bodies(self, path: str) -> list[bytes]:
        return [body for sent_to, body in self.sent if sent_to == path]

    def spans(self) -> list[Any]:
        """Return the spans as OTLP has them."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies("/v1/traces")]
        scopes = [scope for each in requests for resource in each.resource_spans for scope in resource.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """Return the labels of the newest points of each metric, with their values."""
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        found: dict[str, list[dict[str, Any]]] = {}
        for body in self.bodies("/v1/metrics"):
            request = ExportMetricsServiceRequest.FromString(body)
            scopes = [scope for resource in request.resource_metrics for scope in resource.scope_metrics]
            for metric in (metric for scope in scopes for metric in scope.metrics):
                points = getattr(metric, str(metric.WhichOneof("data"))).data_points
                found[metric.name] = [
                    {
                        **labels_of(point),
                        "": point.count if hasattr(point, "count") else point.as_int or point.as_double,
                    }
                    for point in points
                ]
        return found


def labels_of(of: Any) -> dict[str, Any]:
    """Return the attributes of a span or of a point."""
    return {each.key: each.value.string_value or each.value.int_value for each in of.attributes}


@contextmanager
def collecting(status: int = 200) -> Generator[Collector]:
    """Collect while inside; `status`: of every answer."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.sent.append((self.path, body))
            collector.headers.append(dict(self.headers.items()))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.address = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        serving.join()

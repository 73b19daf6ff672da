"""Serves our server in the sandbox, as `serve_http` does, with the fixtures of the conformance suite added to it."""

import sys

from bench.conformance.fixtures.asking import add_asking_tools
from bench.conformance.fixtures.prompts import add_prompts
from bench.conformance.fixtures.resources import add_resources
from bench.conformance.fixtures.rounds import add_rounds
from bench.conformance.fixtures.tools import add_tools
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.process import Process
from zinc_mcp.server.http.app import serve_http
from zinc_mcp.server.mcp.asking import Page
from zinc_mcp.server.mcp.server import Server, build_server


def with_fixtures(process: Process, page: Page) -> Server:
    """Return our server with the suite's tools, resources and prompts beside its own."""
    server = build_server(process, page)
    for add in (add_tools, add_asking_tools, add_rounds, add_resources, add_prompts):
        add(server)
    return server


if __name__ == "__main__":
    serve_http(load_settings(), "127.0.0.1", int(sys.argv[1]), make_server=with_fixtures)

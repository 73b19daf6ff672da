"""`python -m zinc_mcp` is `zinc-mcp`."""

from zinc_mcp.cli import main

main()

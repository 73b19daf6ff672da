"""`python -m zinc_mcp` is `zinc-mcp`."""

from zinc_mcp.cli.main import main

main()

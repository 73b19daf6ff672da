"""One intention, one purchase. Knows no MCP and no HTTP."""

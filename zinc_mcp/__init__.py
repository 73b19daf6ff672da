"""An MCP server that buys real things through Zinc: one intention, one purchase."""

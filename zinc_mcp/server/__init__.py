"""The MCP server: its tools and their results, the transports, and the approval page."""

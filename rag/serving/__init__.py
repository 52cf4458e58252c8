"""Parts that servers of a library share: the page, the MCP server and the OpenAI endpoint."""

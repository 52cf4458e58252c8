"""The library as tools of the Model Context Protocol: `search_papers` and `ask_papers`.

Here because a program that speaks MCP (an editor, a chat client) should reach the same answers,
with the same verdicts, as the command and the page do. Called by `rag mcp`; built on the package
`mcp`, which comes with the extra of that name and is imported by this package's modules alone.
"""

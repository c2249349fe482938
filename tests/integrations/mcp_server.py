"""A server of tools on standard input and output, as mcp clients start it."""

from __future__ import annotations

try:
    from mcp.server.mcpserver import MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server  # type: ignore[no-redef,import-not-found,unused-ignore]

server = Server("orders")


@server.tool()  # type: ignore[untyped-decorator,unused-ignore]
def find_order(order_id: str) -> str:
    """Find an order."""
    if order_id == "X":
        raise LookupError("no X")
    return f"{order_id} is shipped"


if __name__ == "__main__":
    server.run("stdio")

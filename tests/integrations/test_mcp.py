"""The real mcp client against a real server in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import agentsight_auto
from agentsight_auto import conversation
from agentsight_auto.testing import Recording

mcp = pytest.importorskip("mcp", reason="mcp is not installed: pip install -e .[integrations-test]")

from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

SERVER = str(Path(__file__).with_name("mcp_server.py"))


@asynccontextmanager
async def connected() -> AsyncIterator[Any]:
    """A session with the server."""
    server = StdioServerParameters(command=sys.executable, args=[SERVER])
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


async def test_tools_of_a_server_are_actions(recorded: Recording) -> None:
    """With arguments and answer; a failure that the server answers is told and raised by nobody."""
    agentsight_auto.instrument("mcp")
    async with connected() as session:
        await session.call_tool("find_order", {"order_id": "0"})
        async with conversation("c"):
            await session.call_tool("find_order", {"order_id": "A-17"})
            await session.call_tool("find_order", arguments={"order_id": "X"})
    found, failed = recorded.actions()
    assert found["action_name"] == failed["action_name"] == "find_order"
    assert found["tools_used"] == {"function": "find_order", "parameters": {"order_id": "A-17"}}
    assert "A-17 is shipped" in str(found["response"])
    assert "Error executing tool find_order" in failed["error_msg"]


async def test_uninstrument_restores(recorded: Recording) -> None:
    """The method is the library's own."""
    agentsight_auto.instrument("mcp")
    agentsight_auto.uninstrument()
    assert type(vars(ClientSession)["call_tool"]).__name__ == "function"
    async with connected() as session, conversation("c"):
        await session.call_tool("find_order", {"order_id": "A-17"})
    assert recorded.action_names() == []

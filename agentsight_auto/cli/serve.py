"""``agentsight-auto serve``: answer the AgentSight HTTP API over an embedded store."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from agentsight_auto._settings import prepare_home
from agentsight_auto.cli.command import FAILED, FINE, Command, Invocation
from agentsight_auto.cli.keys import DEFAULT_AGENT, add_db_argument, db_path_of
from agentsight_auto.server.settings import load_server_settings

if TYPE_CHECKING:
    from agentsight_auto.server.settings import ServerSettings


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", metavar="N", help="port to listen on, 0 for any that is free (default: 8417)")
    parser.add_argument("--quiet", action="store_true", help="no line per request on stderr")
    add_db_argument(parser)


def _run(invocation: Invocation) -> int:
    arguments, output = invocation.arguments, invocation.output
    try:
        from agentsight_auto.server import run  # noqa: PLC0415 - needs the extra, and loads the store
    except ImportError as error:
        output.complain(f'serve needs more packages ({error.name}): pip install "agentsight-auto[server]"')
        return FAILED
    path = db_path_of(invocation)
    if path == invocation.settings.store_path:
        prepare_home(invocation.settings.home)
    settings = load_server_settings({"db": str(path), "host": arguments.host, "port": arguments.port})
    if settings.geoip_db is None:
        settings = msgspec.structs.replace(settings, geoip_db=invocation.settings.geoip_db)
    try:
        listener = run.listen(settings)
    except OSError as error:
        output.complain(
            f"agentsight-auto serve: cannot listen on {settings.host}:{settings.port}: {error}. Give another --port."
        )
        return FAILED
    address = run.address_of(settings, listener)
    app = run.open_app(settings)
    server = run.make_server(app, settings, log_requests=not arguments.quiet)
    _say(invocation, settings, address, run.first_key(app, agent=DEFAULT_AGENT))
    run.serve(server, listener)
    return FINE


def _say(invocation: Invocation, settings: ServerSettings, address: str, key: str | None) -> None:
    """Say where the server is, and on an empty store the first key, which is never shown again."""
    output = invocation.output
    if output.is_json:
        told: dict[str, Any] = {"address": address, "db": settings.db, "agent": None, "api_key": None}
        if key is not None:
            told.update(agent=DEFAULT_AGENT, api_key=key)
        output.json(told)
    else:
        output.print(f"AgentSight API on {address} over {settings.db}. Its documentation: {address}/api/docs/")
        if key is not None:
            output.print(f"This store had no key. Agent {DEFAULT_AGENT!r} has one now, which is shown this once:")
            output.print()
            output.print(f"  export AGENTSIGHT_API_KEY={key}")
            output.print(f"  export AGENTSIGHT_API_ENDPOINT={address}")
            output.print()
    if settings.host not in {"127.0.0.1", "::1", "localhost"}:
        output.note("Other machines can reach this server, and what they send is not encrypted: put TLS before it.")
    sys.stdout.flush()


COMMAND = Command(
    name="serve",
    summary="answer the AgentSight HTTP API over this store",
    description="Serve the AgentSight HTTP API, to this machine by default. The first start on a store without keys\n"
    "makes one and shows the two lines to paste. Limits are settings: AGENTSIGHT_SERVER_<NAME>.",
    examples=("serve", "serve --port 9000 --db /srv/agentsight/agentsight.db", "serve --host 0.0.0.0 --quiet"),
    add_arguments=_add_arguments,
    run=_run,
)

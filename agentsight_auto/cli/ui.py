"""``agentsight-auto ui``: look at the embedded store in a browser."""

from __future__ import annotations

import argparse
import sys
import threading
import webbrowser

import msgspec

from agentsight_auto._settings import prepare_home
from agentsight_auto.cli.command import FAILED, FINE, Command, Invocation
from agentsight_auto.cli.keys import DEFAULT_AGENT, add_db_argument, db_path_of
from agentsight_auto.server.settings import load_server_settings

_DELIVERY_WAIT_S = 10.0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", metavar="N", help="port to listen on, 0 for any that is free (default: 8417)")
    parser.add_argument("--agent", metavar="NAME", default=DEFAULT_AGENT, help="whose data to show (default: default)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    add_db_argument(parser)


def _run(invocation: Invocation) -> int:
    arguments, output = invocation.arguments, invocation.output
    try:
        from agentsight_auto.server import run  # noqa: PLC0415 - needs the extra, and loads the store
    except ImportError as error:
        output.complain(f'ui needs more packages ({error.name}): pip install "agentsight-auto[server]"')
        return FAILED
    path = db_path_of(invocation)
    settings = load_server_settings({"db": str(path), "host": "127.0.0.1", "port": arguments.port})
    settings = msgspec.structs.replace(
        settings, public_address=None, geoip_db=settings.geoip_db or invocation.settings.geoip_db
    )
    if path == invocation.settings.store_path:
        prepare_home(invocation.settings.home)
        if not invocation.settings.is_remote:  # let in what dead processes have left
            invocation.runtime.backend(wait_s=_DELIVERY_WAIT_S)
    try:
        listener = run.listen(settings)
    except OSError as error:
        output.complain(f"agentsight-auto ui: cannot listen on port {settings.port}: {error}. Give another --port.")
        return FAILED
    address = f"{run.address_of(settings, listener)}/"
    server = run.make_server(run.open_app(settings, local_agent=arguments.agent), settings, log_requests=False)
    if output.is_json:
        output.json({"address": address, "db": settings.db, "agent": arguments.agent})
    else:
        output.print(f"Conversations of {settings.db}: {address}  (Ctrl-C ends it)")
    sys.stdout.flush()
    if not arguments.no_browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    try:
        run.serve(server, listener)
    finally:
        invocation.runtime.shutdown(2.0)
    return FINE


COMMAND = Command(
    name="ui",
    summary="look at the conversations in a browser",
    description="Open the dashboard over this store, for this machine only and without a sign-in. For others there is\n"
    "`agentsight-auto serve`, whose dashboard asks for an API key.",
    examples=("ui", "ui --port 0 --no-browser"),
    add_arguments=_add_arguments,
    run=_run,
)

"""``agentsight-auto keys``: make, list and revoke the API keys of a store."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agentsight_auto._clock import Clock, iso_from_us
from agentsight_auto._settings import prepare_home
from agentsight_auto.cli.command import FAILED, FINE, USAGE, Command, Invocation
from agentsight_auto.cli.recorded_text import one_line
from agentsight_auto.cli.wording import local_time
from agentsight_auto.server.settings import variable_of

if TYPE_CHECKING:
    from agentsight_auto.store.database import Database

DEFAULT_AGENT = "default"
"""The agent of the embedded store: its key sees what programs without a server have recorded."""

_COLUMNS = ("number", "agent", "role", "ends in", "created", "last used", "expires", "revoked")
_MOMENTS = ("created_at", "last_used_at", "expires_at", "revoked_at")
_DAY_US = 86_400_000_000
_MOST_DAYS = 36_500


def add_db_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a database file."""
    parser.add_argument("--db", metavar="PATH", help="database file (default: agentsight.db in the home folder)")


def db_path_of(invocation: Invocation) -> Path:
    """Return the database file that an invocation means: ``--db``, ``--home``, the server's setting, or the home's."""
    given = invocation.arguments.db
    if given is None and not hasattr(invocation.arguments, "home"):
        given = os.environ.get(variable_of("db"), "").strip() or None
    return invocation.settings.store_path if given is None else Path(given).expanduser().absolute()


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a key and print it, once", allow_abbrev=False)
    create.add_argument("--agent", metavar="NAME", default=DEFAULT_AGENT, help="whose data it sees (default: default)")
    create.add_argument("--role", choices=("write", "read"), default="write", help="what it may do (default: write)")
    create.add_argument("--days", type=_days, metavar="N", help="expire after so many days (default: never)")
    listing = actions.add_parser("list", help="list keys", allow_abbrev=False)
    listing.add_argument("--agent", metavar="NAME", help="only those of this agent")
    revoke = actions.add_parser("revoke", help="revoke a key for ever", allow_abbrev=False)
    revoke.add_argument("key", metavar="KEY", help="its number in the list, or its last six characters")
    for action in (create, listing, revoke):
        add_db_argument(action)
        action.add_argument("--home", metavar="DIR", default=argparse.SUPPRESS, help="folder of the store")
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")


def _days(text: str) -> float:
    days = float(text)
    if not 0 < days <= _MOST_DAYS:
        raise ValueError(text)
    return days


def _run(invocation: Invocation) -> int:
    from agentsight_auto.store.database import Database  # noqa: PLC0415 - loads SQLAlchemy

    path = db_path_of(invocation)
    if invocation.arguments.action != "create" and not path.exists():
        invocation.output.complain(f"There is no store at {path} yet. `agentsight-auto keys create` makes one.")
        return FAILED
    if path == invocation.settings.store_path:
        prepare_home(invocation.settings.home)
    database = Database.open(path)
    try:
        return {"create": _create, "list": _list, "revoke": _revoke}[invocation.arguments.action](invocation, database)
    finally:
        database.close()


def _create(invocation: Invocation, database: Database) -> int:
    from agentsight_auto.store.keys import create_key  # noqa: PLC0415

    arguments, output = invocation.arguments, invocation.output
    at_us = Clock().now_us()
    expires_at_us = None if arguments.days is None else at_us + round(arguments.days * _DAY_US)
    try:
        key = create_key(database, agent=arguments.agent, role=arguments.role, at_us=at_us, expires_at_us=expires_at_us)
    except ValueError as error:
        output.complain(f"agentsight-auto keys create: {error}.")
        return USAGE
    if output.is_json:
        output.json({"agent": arguments.agent, "role": arguments.role, "api_key": key})
    else:
        output.print(key)
        output.note(f"A {arguments.role} key of agent {one_line(arguments.agent, 60)!r}. It is shown this once.")
    return FINE


def _list(invocation: Invocation, database: Database) -> int:
    from agentsight_auto.store.keys import list_keys  # noqa: PLC0415

    output = invocation.output
    keys = [_shape(key) for key in list_keys(database, agent=invocation.arguments.agent)]
    if output.is_json:
        output.json({"keys": keys})
        return FINE
    rows = [
        [
            str(key["id"]),
            one_line(key["agent"], 40),
            key["role"],
            f"…{key['hint']}",
            *(local_time(key[name]) if key[name] else "-" for name in _MOMENTS),
        ]
        for key in keys
    ]
    output.table(_COLUMNS, rows, right=("number",))
    return FINE


def _shape(key: msgspec.Struct) -> dict[str, Any]:
    """Return a key with its moments in ISO 8601."""
    fields: dict[str, Any] = msgspec.to_builtins(key)
    for name in _MOMENTS:
        at_us = fields.pop(f"{name}_us")
        fields[name] = None if at_us is None else iso_from_us(at_us)
    return fields


def _revoke(invocation: Invocation, database: Database) -> int:
    from agentsight_auto.store.keys import list_keys, revoke_key  # noqa: PLC0415

    given, output = invocation.arguments.key, invocation.output
    valid = [key for key in list_keys(database) if key.revoked_at_us is None]
    # Six characters are a hint first: "123456" is far more likely to be one than a number.
    meant = [key for key in valid if key.hint == given[-6:].lower() and len(given) >= 6]
    meant = meant or [key for key in valid if str(key.id) == given]
    if len(meant) != 1:
        reason = "Several keys end so; give the number." if meant else "See `agentsight-auto keys list`."
        output.complain(f"There is no one valid key {one_line(given, 12)!r}. {reason}")
        return FAILED
    at_us = Clock().now_us()
    revoke_key(database, meant[0].id, at_us=at_us)
    if output.is_json:
        output.json({"revoked": _shape(msgspec.structs.replace(meant[0], revoked_at_us=at_us))})
    else:
        output.print(f"Key {meant[0].id} of agent {one_line(meant[0].agent, 60)!r} is revoked, within a second.")
    return FINE


COMMAND = Command(
    name="keys",
    summary="make, list and revoke the API keys of a store",
    description="A key belongs to one agent and sees only that agent's data. Only a hash of it is stored.",
    examples=("keys create", "keys create --agent shop --role read", "keys list", "keys revoke 2"),
    add_arguments=_add_arguments,
    run=_run,
)

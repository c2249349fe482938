"""What actions are called: one row per agent and name, made when the name is first performed or declared.

In: names, labels. Out: rows of `actions`. Loses: nothing; a name that is known keeps its label and description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select, update

from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.store.bulk import in_slices, insert_rows
from agentsight_auto.store.schema import conversation_actions, messages
from agentsight_auto.store.schema_insights import ending_actions
from agentsight_auto.store.schema_spans import actions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agentsight_auto.store.database import Database


class NameTaken(ValueError):
    """The agent has another action of this name."""


def name_actions(connection: Connection, agent_id: int, names: Collection[str]) -> None:
    """Make the actions of these names that are not there yet, inside a `write` block."""
    if not names:
        return
    wanted = sorted(names)
    query = select(actions.c.name).where(actions.c.agent_id == agent_id)
    known = {row.name for row in in_slices(connection, query, actions.c.name, wanted)}
    insert_rows(connection, actions, [(agent_id, name, name, "") for name in wanted if name not in known])


def declare_action(database: Database, agent_id: int, name: str, labels: Mapping[str, str]) -> int:
    """Make an action before it is performed and return its id; `labels`: display_name, description.

    Raises:
        NameTaken: there is one of this name.
    """
    with database.write() as connection:
        _refuse_taken(connection, agent_id, name)
        row = (agent_id, name, labels.get("display_name", name), labels.get("description", ""))
        insert_rows(connection, actions, [row])
        own = (actions.c.agent_id == agent_id, actions.c.name == name)
        return int(connection.execute(select(actions.c.id).where(*own)).scalar_one())


def change_action(database: Database, agent_id: int, action_id: int, changes: Mapping[str, str]) -> None:
    """Set name, display_name or description; what was performed under the old name goes along.

    Raises:
        NameTaken: there is another one of the new name.
        NotFoundException: this agent has no such action.
    """
    own = (actions.c.agent_id == agent_id, actions.c.id == action_id)
    with database.write() as connection:
        old = connection.execute(select(actions.c.name).where(*own)).scalar()
        if old is None:
            raise NotFoundException(f"There is no action {action_id}.")
        if changes.get("name", old) != old:
            _refuse_taken(connection, agent_id, changes["name"])
            _rename_performed(connection, agent_id, old, changes["name"])
        if changes:
            connection.execute(update(actions).where(*own).values(dict(changes)))


def _refuse_taken(connection: Connection, agent_id: int, name: str) -> None:
    taken = select(actions.c.id).where(actions.c.agent_id == agent_id, actions.c.name == name)
    if connection.execute(taken).scalar() is not None:
        raise NameTaken(name)


def _rename_performed(connection: Connection, agent_id: int, old: str, new: str) -> None:
    performed = update(messages).where(messages.c.agent_id == agent_id, messages.c.action_name == old)
    values: dict[str, Any] = {"action_name": new, "content": f"Action {new} performed"}
    connection.execute(performed.values(values))
    counted = update(conversation_actions).where(
        conversation_actions.c.agent_id == agent_id, conversation_actions.c.action_name == old
    )
    connection.execute(counted.values(action_name=new))
    ended = update(ending_actions).where(ending_actions.c.agent_id == agent_id, ending_actions.c.action_name == old)
    connection.execute(ended.values(action_name=new))

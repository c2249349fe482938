"""``/api/actions/``: what the agent's actions are called, and how they went."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from agentsight_auto.query import actions as query
from agentsight_auto.server import errors
from agentsight_auto.server.errors import json_response
from agentsight_auto.server.listing import PageOf, answer_list, list_parameters, nothing_more
from agentsight_auto.server.recording import checked_text
from agentsight_auto.server.routing import Call, Operation
from agentsight_auto.store.action_names import NameTaken, change_action, declare_action

PATH = "/api/actions/"
LONGEST_NAME = 255
LONGEST_DESCRIPTION = 5000


class ActionBody(msgspec.Struct):
    """An action to declare; `display_name` is the name where it is not given."""

    name: str
    display_name: str | None = None
    description: str | None = None


class ActionChanges(msgspec.Struct):
    """New values; null leaves a field as it is."""

    name: str | None = None
    display_name: str | None = None
    description: str | None = None


class Action(msgspec.Struct):
    """An action of the agent."""

    id: int
    name: str
    display_name: str
    description: str
    agent: int


def fetch_list(call: Call) -> Response:
    """List actions by name: declared ones, and every one that was performed."""
    return answer_list(call, query.list_actions, query.FILTERS, nothing_more)


def fetch_one(call: Call) -> Response:
    """Return one action."""
    return _answer(call, call.id())


def fetch_logs(call: Call) -> Response:
    """Return how the action went, the newest 1,000 times, as a bare list."""
    return json_response(query.fetch_logs(call.service.database, call.backend.agent_id, call.id()))


def create(call: Call) -> Response:
    """Declare an action; the first one that is performed under its name is this one."""
    body = call.read(ActionBody)
    fields = _checked(body)
    name = fields.pop("name")
    try:
        action_id = declare_action(call.service.database, call.backend.agent_id, name, fields)
    except NameTaken as error:
        raise _taken(name) from error
    return _answer(call, action_id, 201)


def change(call: Call) -> Response:
    """Change name, display name or description; what was performed under the old name goes along."""
    number = call.id()
    fields = _checked(call.read(ActionChanges))
    try:
        change_action(call.service.database, call.backend.agent_id, number, fields)
    except NameTaken as error:
        raise _taken(fields["name"]) from error
    return _answer(call, number)


def _checked(body: ActionBody | ActionChanges) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name in ("name", "display_name"):
        value = getattr(body, name)
        if value is not None:
            fields[name] = checked_text(name, value.strip(), longest=LONGEST_NAME)
    if body.description is not None:
        if len(body.description) > LONGEST_DESCRIPTION:
            message = f"Ensure this field has no more than {LONGEST_DESCRIPTION} characters."
            raise errors.field_error("description", message)
        fields["description"] = body.description
    return fields


def _taken(name: str) -> errors.ApiError:
    return errors.field_error("name", f'An action named "{name}" already exists for this agent.')


def _answer(call: Call, action_id: int, status: int = 200) -> Response:
    return json_response(query.fetch_action(call.service.database, call.backend.agent_id, action_id), status)


ROUTES = (
    Operation(
        "GET", PATH, fetch_list, "List actions", tag="actions", answers={200: PageOf}, refusals=(400, 404),
        query=list_parameters(query.FILTERS),
    ),
    Operation(
        "POST", PATH, create, "Declare an action", role="write", body=ActionBody, tag="actions",
        answers={201: Action}, refusals=(400,),
    ),
    Operation(
        "GET", PATH + "{id}/", fetch_one, "Read one action", tag="actions", answers={200: Action}, refusals=(404,),
    ),
    Operation(
        "PATCH", PATH + "{id}/", change, "Change an action", role="write", body=ActionChanges, tag="actions",
        answers={200: Action}, refusals=(400, 404),
    ),
    Operation(
        "GET", PATH + "{id}/logs/", fetch_logs, "List how an action went", tag="actions",
        answers={200: list[dict[str, Any]]}, refusals=(404,),
    ),
)  # fmt: skip

"""One person's look at one page: who they are, what they asked for, and how they read.

In: a request. Out: a `Visit`, which every page's function gets. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias
from urllib.parse import urlencode

from starlette.datastructures import FormData, QueryParams

from agentsight_auto.exceptions import InvalidQueryException
from agentsight_auto.query.parameters import storable
from agentsight_auto.query.served import ServedBackend
from agentsight_auto.server.dashboard.languages import Texts
from agentsight_auto.server.service import Service
from agentsight_auto.store.keys import Agent, list_agents

THEMES = ("auto", "light", "dark")
Value: TypeAlias = str | tuple[str, ...]
"""What a parameter of an address is: a text, or several."""


def local_agent(agent_id: int, name: str) -> Agent:
    """Return an agent as the owner of this machine's store sees it: with every right and no key."""
    return Agent(agent_id, name, "write", 0, "")


@dataclass
class Visit:
    """One request on its way through a page's function."""

    service: Service
    path: str
    path_values: Mapping[str, str]
    query: QueryParams
    texts: Texts
    nonce: str
    is_local: bool
    is_secure: bool
    address: str
    client_host: str = ""
    theme: str = "auto"
    zone_is_known: bool = False
    cookies: Mapping[str, str] = field(default_factory=dict)
    known_agent: Agent | None = None
    form: FormData | None = None

    @property
    def agent(self) -> Agent:
        """Whose conversations are shown."""
        assert self.known_agent is not None
        return self.known_agent

    @property
    def may_edit(self) -> bool:
        """Whether this person may change anything."""
        return self.known_agent is not None and self.known_agent.role == "write"

    @cached_property
    def agents(self) -> list[Agent]:
        """The agents that this person may choose from: all of the store where nobody needs to sign in, else none."""
        return [local_agent(*row) for row in list_agents(self.service.database)] if self.is_local else []

    @cached_property
    def backend(self) -> ServedBackend:
        """The store, as the visitor's agent sees it."""
        return self.service.backend(self.agent, "")

    @cached_property
    def given(self) -> dict[str, str]:
        """The query's values that are not blank, as text that can be stored."""
        return {storable(name): storable(value) for name, value in self.query.items() if value.strip()}

    def field(self, name: str) -> str:
        """Return a text of the form, empty where it is missing."""
        value = "" if self.form is None else self.form.get(name, "")
        return storable(value) if isinstance(value, str) else ""

    def fields(self, name: str) -> list[str]:
        """Return all texts of this name in the form."""
        return [] if self.form is None else [value for value in self.form.getlist(name) if isinstance(value, str)]


class Unreadable(InvalidQueryException):
    """Something in an address or a form has no meaning; the message is in the reader's language."""


def url(path: str, query: Mapping[str, Value | int | None]) -> str:
    """Return a path with those parameters that have a value; one with several is repeated."""
    given = {name: value for name, value in query.items() if value not in {None, "", ()}}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def safe_return(target: str, fallback: str = "/") -> str:
    """Return a path of this server to go back to; anything that could lead elsewhere becomes `fallback`."""
    is_path = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_path and target.isprintable() and "\\" not in target and len(target) < 4000 else fallback

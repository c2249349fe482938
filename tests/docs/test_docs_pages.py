"""The pages are complete and current: settings, imports, names, links."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import agentsight_auto
from agentsight_auto import enums, exceptions
from agentsight_auto._setting_values import SETTINGS
from agentsight_auto.capture.scope import ConversationScope
from agentsight_auto.server.settings import SERVER_VARIABLES, ServerSettings, variable_of
from tests.docs.pages import DOCS, PAGES, PROSE, README, anchors, links

MOVING = DOCS / "moving-from-agentsight.md"
_IMPORT = re.compile(r"from (agentsight_auto[\w.]*) import (\w+(?:, \w+)*)")
_NEW_IN_TABLE = re.compile(
    r"^\| `from agentsight([\w.]*) import (\w+)` \| `from agentsight_auto([\w.]*) import (\w+)` \|$"
)

PUBLISHED = {
    "": [
        "AgentSightAPI",
        "ConversationManager",
        "ConversationTracker",
        "agentsight_api",
        "conversation_manager",
        "conversation_tracker",
    ],
    ".helpers": ["generate_conversation_id"],
    ".enums": ["AttachmentMode", "Environment", "LogLevel", "Sender", "Sentiment"],
    ".exceptions": [
        "ConversationApiException",
        "ConversationNetworkException",
        "ConversationTrackingException",
        "ForbiddenException",
        "InvalidAnswerDataException",
        "InvalidApiKeyException",
        "InvalidAttachmentException",
        "InvalidConversationDataException",
        "InvalidQuestionDataException",
        "MissingConversationIdException",
        "NoApiKeyException",
        "NoConversationIdException",
        "NoDataToSendException",
        "NotFoundException",
        "UnauthorizedException",
    ],
}
"""The documented names of the published package that code imports from it."""


def every_page() -> str:
    """Return the text of all pages."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_the_settings_page_is_the_printed_one() -> None:
    """docs/settings.md is what docs/make_settings.py prints."""
    printed = subprocess.run(
        [sys.executable, str(DOCS / "make_settings.py")], capture_output=True, text=True, check=True, timeout=60
    )
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == printed.stdout


def test_the_metrics_page_is_the_printed_one() -> None:
    """docs/metrics.md is what docs/make_metrics.py prints from the definitions."""
    printed = subprocess.run(
        [sys.executable, str(DOCS / "make_metrics.py")], capture_output=True, text=True, check=True, timeout=60
    )
    assert (DOCS / "metrics.md").read_text(encoding="utf-8") == printed.stdout


def test_every_setting_is_on_the_page_with_what_it_accepts() -> None:
    """Each row has the keyword, the variable, a default and a meaning; ranges are those that the readers enforce."""
    lines = (DOCS / "settings.md").read_text(encoding="utf-8").splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("| `")}
    assert [setting.name for setting in SETTINGS if f"`{setting.name}`" not in rows] == []
    assert "from 512 to 1048576" in rows["`max_value_bytes`"]
    assert "process, disk or memory" in rows["`durability`"]


def test_every_setting_of_the_server_is_on_its_page_with_its_default() -> None:
    """One row each, no more."""
    page = (DOCS / "server.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(AGENTSIGHT_SERVER_\w+)` \| `?([^`|]+?)`? \|", page, re.MULTILINE)
    defaults = {name: getattr(ServerSettings(), name) for name in ServerSettings.__struct_fields__}
    shown = {variable_of(name): "none" if value is None else str(value).lower() for name, value in defaults.items()}
    assert dict(rows) == shown


def test_variables_named_on_the_pages_exist() -> None:
    """No page names a setting that is none; the one that is not in this version is named as such."""
    known = {setting.variable for setting in SETTINGS} | {"AGENTSIGHT_TOKEN_HANDLER_TYPE", *SERVER_VARIABLES}
    assert set(re.findall(r"AGENTSIGHT_[A-Z_]+", every_page())) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_import_on_a_page_exists(page: Path) -> None:
    """Each name that a page imports from the package is there."""
    for module, names in _IMPORT.findall(page.read_text(encoding="utf-8")):
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name), f"{page.name}: {module}.{name}"


def test_every_import_of_the_published_package_has_its_row() -> None:
    """The table leads each import of the older package to the same name here."""
    rows = [
        found.groups()
        for line in MOVING.read_text(encoding="utf-8").splitlines()
        if (found := _NEW_IN_TABLE.match(line))
    ]
    assert [row for row in rows if row[0] != row[2] or row[1] != row[3]] == []
    assert {(row[0], row[1]) for row in rows} == {
        (module, name) for module, names in PUBLISHED.items() for name in names
    }


def test_every_public_name_is_on_a_page() -> None:
    """What can be imported from the root package, the testing module and a scope is written about."""
    text = every_page()
    names = [name for name in agentsight_auto.__all__ if name != "__version__"]
    names += ["recording", "ManualClock", "SequentialIds", "agentsight_recording"]
    names += [name for name in vars(ConversationScope) if name.startswith(("track_", "send_", "get_"))]
    for client in (
        agentsight_auto.AgentSightAPI,
        agentsight_auto.ConversationManager,
        agentsight_auto.ConversationTracker,
    ):
        names += [name for name in vars(client) if not name.startswith("_")]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_every_error_and_enum_is_on_a_page() -> None:
    """Each exception and enum of the documented modules is named somewhere."""
    text = every_page()
    names = [
        name
        for module in (exceptions, enums)
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    assert len(names) > 20
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_links_lead_to_pages_and_headings_that_exist(page: Path) -> None:
    """A link within the project names a file, and its anchor a heading in it."""
    for target in links(page):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def test_every_page_is_linked_from_the_readme() -> None:
    """A reader finds each page from the first one."""
    linked = {target.partition("#")[0] for target in links(README)}
    assert [page.name for page in PAGES[1:] if f"docs/{page.name}" not in linked] == []


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_pages_keep_to_what_exists(page: Path) -> None:
    """No page promises what is not in this version, and none exclaims."""
    text = page.read_text(encoding="utf-8")
    for word in ("PostgreSQL", "OTLP"):
        assert word.lower() not in text.lower(), word
    prose = re.sub(r"`[^`]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    assert "!" not in prose.replace("<!--", "").replace("![", "")

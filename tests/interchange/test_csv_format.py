from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto.interchange.csv_format import COLUMNS, CsvWriter, safe_cell

from .support import Place


def read_back(*conversations: dict[str, Any]) -> list[dict[str, str]]:
    """Write conversations as CSV and read the rows again."""
    stream = io.StringIO(newline="")
    writer = CsvWriter(stream)
    for conversation in conversations:
        writer.write(conversation)
    return list(csv.DictReader(io.StringIO(stream.getvalue(), newline=""), strict=True))


def shape(content: str) -> dict[str, Any]:
    """A conversation with one message."""
    message: dict[str, Any] = {
        "timestamp": "t",
        "sender": "end_user",
        "content": content,
        "action_name": None,
        "button": None,
    }
    message |= {"metadata": {}, "attachments": [], "action_logs": []}
    return {**dict.fromkeys(COLUMNS[:7]), "conversation_id": "c", "messages": [message]}


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "  =", "\u00a0@", " \t+", "\x0b="]
)
def test_what_a_spreadsheet_could_execute_is_quoted(start: str) -> None:
    """Also where white space comes before it."""
    assert safe_cell(f'{start}HYPERLINK("http://x")').startswith("'")


@pytest.mark.parametrize("text", ["", "Hi", "1 + 1", "a=b", "'=1", "mail me @ home", "3-4"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    """Only the beginning of a cell decides."""
    assert safe_cell(text) == text


@given(st.text())
def test_any_text_comes_back_and_is_no_formula(content: str) -> None:
    """A reader gets the text again, with at most a quote before it, in the right column."""
    content = content.replace("\0", "\ufffd")
    (row,) = read_back(shape(content))
    assert row["content"] in {content, f"'{content}"}
    assert not row["content"].lstrip().startswith(("=", "+", "-", "@"))
    assert row["conversation_id"] == "c"


def test_one_row_for_each_message_and_action(here: Place, airline_file: Any) -> None:
    """All 4,034 of the real conversations, each with its kind."""
    here.load(airline_file.read_bytes())
    rows = read_back(*here.backend.export_conversations({}))
    kinds = [row["kind"] for row in rows]
    assert (kinds.count("message"), kinds.count("action")) == (2870, 1164)

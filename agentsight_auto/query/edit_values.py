"""Check what an edit or a judgement is given, the same way whoever carries it out.

In: arguments of the documented clients. Out: plain values to store or to send. Loses: nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from agentsight_auto.exceptions import InvalidQueryException
from agentsight_auto.query import parameters
from agentsight_auto.query.json_documents import read_document

SENTIMENTS = ("positive", "neutral", "negative")
LONGEST_COMMENT = 5000


class Judgement(NamedTuple):
    """A feedback's content."""

    sentiment: str
    comment: str | None
    metadata: dict[str, Any] | None


def check_judgement(sentiment: object, comment: object, metadata: object) -> Judgement:
    """Check a feedback.

    Raises:
        InvalidQueryException: an unknown sentiment, or metadata that is not JSON.
        InvalidConversationDataException: a comment of more than 5,000 characters.
    """
    return Judgement(
        parameters.read_choice("sentiment", sentiment, SENTIMENTS),
        None if comment is None else parameters.read_field("comment", comment, longest=LONGEST_COMMENT),
        None if metadata is None else read_document("metadata", metadata),
    )


def check_name(name: object) -> str:
    """Check a conversation's name, and return it without the spaces around it.

    Raises:
        InvalidConversationDataException: blank or too long.
    """
    return parameters.read_field("name", name, shortest=1, trim=True)


def check_changes(
    *, name: object, is_marked: object, customer_id: object, device: object, language: object, metadata: object
) -> dict[str, Any]:
    """Check what `update_conversation` is given, and return the fields that are; None leaves a field as it is.

    Raises:
        InvalidQueryException: nothing to update, or a value that cannot be read.
        InvalidConversationDataException: a text that is too long, or a blank name.
    """
    texts = {"customer_id": customer_id, "device": device, "language": language}
    fields: dict[str, Any] = {
        field: parameters.read_field(field, text) for field, text in texts.items() if text is not None
    }
    if name is not None:
        fields["name"] = check_name(name)
    if is_marked is not None:
        fields["is_marked"] = parameters.read_flag("is_marked", is_marked)
    if metadata is not None:
        fields["metadata"] = read_document("metadata", metadata)
    if not fields:
        message = "There is nothing to update. Give name, is_marked, customer_id, device, language or metadata."
        raise InvalidQueryException(message, response_data={"detail": message})
    return fields

"""The tables of the store, in the words of SQLAlchemy Core; `migrations` makes them.

Every row carries its agent. Moments are microseconds since 1970 (UTC) in columns ending ``_us``, event ids 16 bytes,
JSON documents compact text. Inside a conversation messages are ordered by ``(at_us, event_id)``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

Big = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits everywhere; SQLite wants the word INTEGER for a row id."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


def _agent() -> Column[int]:
    return Column("agent_id", Big, ForeignKey("agents.id"), nullable=False)


def _conversation() -> Column[int]:
    return Column("conversation_pk", Big, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False)


def _message() -> Column[int]:
    return Column("message_id", Big, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, Big, nullable=False, server_default=text("0"))


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


agents = Table(
    "agents",
    metadata,
    Column("id", Big, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    _count("writes"),  # of all agents goes up with each transaction that wrote: what was answered before is out of date
    _flag("has_search_gap"),  # a SQLite without FTS5 has written, see `search_index`
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    Column("conversation_id", Text, nullable=False),
    Column("name", Text),
    Column("customer_id", Text),
    Column("customer_ip_address", Text),
    Column("device", Text),
    Column("source", Text),
    Column("language", Text),
    Column("environment", Text, nullable=False, server_default="development"),
    Column("metadata", Text, comment="JSON object"),
    _flag("is_marked"),
    _flag("is_deleted"),
    _flag("is_used"),
    Column("started_at_us", Big, nullable=False, comment="earliest capture time known"),
    Column("ended_at_us", Big, nullable=False, comment="capture time of the last event or the last block left"),
    Column("deleted_at_us", Big),
    Column("error", Text, comment="text of the exception that last left a block of this conversation"),
    Column("geo_city", Text),
    Column("geo_country", Text, comment="ISO 3166-1 alpha-2"),
    Column("geo_timezone", Text, comment="IANA name"),
    Column("known_at", Text, nullable=False, server_default="{}", comment="capture time per field, see known_at"),
    # The summary, see `summary`: kept by ingest, made anew by `summaries.rebuild`.
    _count("message_count"),
    _count("action_count"),
    _count("human_message_count"),
    _count("agent_message_count"),
    _count("transcript_count"),
    _count("action_error_count"),
    _count("feedback_count"),
    _count("positive_count"),
    _count("neutral_count"),
    _count("negative_count"),
    _count("prompt_tokens"),
    _count("completion_tokens"),
    _count("total_tokens"),
    _count("embedding_tokens"),
    _count("response_count"),
    _count("response_total_us"),
    _count("waiting_count"),
    _count("waiting_total_us"),
    Column("first_human_at_us", Big),
    Column("last_human_at_us", Big),
    Column("first_agent_at_us", Big),
    Column("last_agent_at_us", Big),
    Column("last_entry_at_us", Big, comment="of the latest row of messages"),
    _flag("has_messages"),
    _flag("has_action"),
    _flag("has_feedback"),
    UniqueConstraint("agent_id", "conversation_id"),
    # Each leads in the documented order, by moment and by the id that ends every entry, and covers what a count asks:
    # is the conversation deleted?
    *(
        Index(f"ix_conversations_{name}", "agent_id", name, "is_deleted", "started_at_us")
        for name in (
            "customer_id",
            "customer_ip_address",
            "device",
            "source",
            "language",
            "environment",
            "has_messages",
            "has_action",
            "has_feedback",
        )
    ),
    Index(  # what is not marked is nearly all
        "ix_conversations_is_marked",
        "agent_id",
        "is_marked",
        "is_deleted",
        "started_at_us",
        sqlite_where=text("is_marked = 1"),
    ),
    Index("ix_conversations_deleted", "agent_id", "id", sqlite_where=text("is_deleted = 1")),
    Index(
        "ix_conversations_overview",
        "agent_id",
        "started_at_us",
        "id",
        "is_deleted",
        "is_marked",
        "environment",
        "device",
        "source",
        "language",
        "has_messages",
        "has_action",
        "has_feedback",
    ),
    sqlite_autoincrement=True,  # an id that was erased is never given to another conversation
)

messages = Table(
    "messages",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    _conversation(),
    Column("event_id", LargeBinary(16), nullable=False),
    Column("kind", Text, nullable=False, comment="message, action, button or attachments"),
    Column("sender", Text, nullable=False, comment="end_user, agent or system"),
    Column("content", Text, nullable=False),
    Column("action_name", Text),
    Column("metadata", Text, comment="JSON object"),
    Column("at_us", Big, nullable=False),
    UniqueConstraint("agent_id", "event_id"),
    Index(None, "conversation_pk", "at_us"),
    Index("ix_messages_action_name", "agent_id", "action_name", sqlite_where=text("action_name IS NOT NULL")),
)

action_logs = Table(
    "action_logs",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    _conversation(),
    _message(),
    Column("event_id", LargeBinary(16), nullable=False),
    Column("parent_event_id", LargeBinary(16), comment="event id of the action inside which this one ran"),
    Column("started_at_us", Big),
    Column("ended_at_us", Big),
    Column("duration_ms", Float),
    Column("tools_used", Text, comment="JSON"),
    Column("response", Text, comment="JSON"),
    Column("error_message", Text),
    Column("metadata", Text, comment="JSON object"),
    Index(None, "message_id"),
    Index(None, "conversation_pk"),
)

buttons = Table(
    "buttons",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    _conversation(),
    _message(),
    Column("event_id", LargeBinary(16), nullable=False),
    Column("button_event", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("metadata", Text, comment="JSON object"),
    Index(None, "message_id"),
    Index(None, "conversation_pk"),
)

attachments = Table(
    "attachments",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    _conversation(),
    _message(),
    Column("type", Text, nullable=False, comment="image, document, text, audio or video"),
    Column("filename", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size_bytes", Big, nullable=False),
    Column("sha256", Text, nullable=False),
    Index(None, "message_id"),
    Index(None, "conversation_pk"),
    Index(None, "sha256"),
)

feedbacks = Table(
    "feedbacks",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    _conversation(),
    Column("event_id", LargeBinary(16), nullable=False),
    Column("sentiment", Text, nullable=False, comment="positive, neutral or negative"),
    Column("source", Text, nullable=False, comment="customer or platform"),
    Column("comment", Text),
    Column("metadata", Text, comment="JSON object"),
    Column("created_at_us", Big, nullable=False),
    UniqueConstraint("agent_id", "event_id"),
    Index(None, "conversation_pk"),
    Index(None, "agent_id", "created_at_us"),
    Index("ix_feedbacks_judgement", "agent_id", "source", "sentiment", "conversation_pk"),
)

token_usages = Table(
    "token_usages",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    _conversation(),
    Column("event_id", LargeBinary(16), nullable=False),
    _count("prompt_tokens"),
    _count("completion_tokens"),
    _count("total_tokens"),
    _count("embedding_tokens"),
    Column("metadata", Text, comment="JSON object"),
    Column("at_us", Big, nullable=False),
    UniqueConstraint("agent_id", "event_id"),
    Index(None, "conversation_pk"),
    Index(None, "agent_id", "at_us"),
)

metadata_values = Table(
    "metadata_values",
    metadata,
    Column("agent_id", Big, ForeignKey("agents.id"), primary_key=True, autoincrement=False),
    Column("path", Text, primary_key=True, comment="keys joined by dots"),
    Column("value_text", Text, primary_key=True, comment="see metadata_index"),
    Column(
        "conversation_pk",
        Big,
        ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Index(None, "conversation_pk"),
    sqlite_with_rowid=False,
)

conversation_actions = Table(
    "conversation_actions",
    metadata,
    Column("agent_id", Big, ForeignKey("agents.id"), primary_key=True, autoincrement=False),
    Column("action_name", Text, primary_key=True),
    Column(
        "conversation_pk",
        Big,
        ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    _count("call_count"),
    _count("error_count"),
    _count("duration_count"),
    Column("duration_total_ms", Float, nullable=False, server_default=text("0")),
    Index(None, "conversation_pk"),
    sqlite_with_rowid=False,
)

conversation_hours = Table(
    "conversation_hours",
    metadata,
    _agent(),
    Column(
        "conversation_pk",
        Big,
        ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("hour", Big, primary_key=True, autoincrement=False, comment="hours since 1970 (UTC)"),
    _count("human_message_count"),
    _count("agent_message_count"),
    sqlite_with_rowid=False,
)

search_documents = Table(
    "search_documents",
    metadata,
    Column("id", Big, primary_key=True, comment="row id in the search index, see search_index"),
    _agent(),
    _conversation(),
    Column("first_message_id", Big, nullable=False),
    Column("last_message_id", Big, nullable=False),
    Index(None, "conversation_pk"),
)

search_progress = Table(  # one row for all agents: the numbers count the rows of all of them
    "search_progress",
    metadata,
    Column("id", Big, primary_key=True),
    Column("messages_until", Big, nullable=False, comment="id of the last message that the search index knows"),
    Column("conversations_until", Big, nullable=False, comment="id of the last conversation whose names it knows"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Big, primary_key=True),
    _agent(),
    Column("key_hash", LargeBinary(32), nullable=False, unique=True, comment="SHA-256 of the key"),
    Column("hint", Text, nullable=False, comment="the key's last six characters"),
    Column("role", Text, nullable=False, comment="read or write"),
    Column("created_at_us", Big, nullable=False),
    Column("last_used_at_us", Big),
    Column("revoked_at_us", Big),
    Column("expires_at_us", Big),
    Index(None, "agent_id"),
    sqlite_autoincrement=True,  # a list of keys never shows one number for two keys
)

sessions = Table(
    "sessions",
    metadata,
    Column("id_hash", LargeBinary(32), primary_key=True, comment="SHA-256 of the id in the cookie"),
    _agent(),
    Column("key_id", Big, ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False),
    Column("created_at_us", Big, nullable=False),
    Column("seen_at_us", Big, nullable=False),
    Index(None, "key_id"),
)

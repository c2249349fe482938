"""Models of real libraries are read by their fields, and none of their code runs."""

from __future__ import annotations

import attrs
import pydantic

from agentsight_auto.snapshot import snapshot

calls: list[str] = []


class Item(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str
    api_key: str = "k"

    @pydantic.field_serializer("name")
    def shout(self, name: str) -> str:
        calls.append("serializer")
        return name.upper()

    @pydantic.computed_field
    @property
    def computed(self) -> str:
        calls.append("property")
        return "computed"

    def __repr__(self) -> str:
        calls.append("repr")
        return "Item"


class Order(pydantic.BaseModel):
    items: list[Item]


@attrs.define
class Line:
    amount: int
    note: str = attrs.field(default="", repr=lambda note: calls.append("repr") or "")


def test_a_pydantic_model_is_its_fields() -> None:
    """Nested models too; serializers, computed fields and repr are not called, secrets are masked."""
    copy = snapshot(Order(items=[Item(name="tea")]))
    assert copy["items"][0]["name"] == "tea"
    assert copy["items"][0]["api_key"] == "[masked]"
    assert "computed" not in copy["items"][0]
    assert calls == []


def test_an_attrs_class_with_slots_is_its_fields() -> None:
    """`attrs.define` makes slots, which are read without attribute access."""
    assert snapshot(Line(3, "x")) == {"amount": 3, "note": "x"}
    assert calls == []

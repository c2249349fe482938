"""What an object is called and what its fields hold, read without running a line of the user's code.

In: any object. Out: the name of its type; the fields of dataclasses, attrs and pydantic models, structs, named tuples.
Loses: what only the object's own code could tell: properties, computed attributes, ``__getattr__``.

Attribute access on a class or an instance may run a metaclass, a property or ``__getattribute__``. So everything here
goes through the C descriptors of `type`, and only to entries of class dictionaries that are C descriptors themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import GetSetDescriptorType, MappingProxyType, MemberDescriptorType
from typing import Any

import msgspec

MISSING: Any = object()

_mro_of: Any = type.__dict__["__mro__"].__get__
_vars_of: Any = type.__dict__["__dict__"].__get__
_module_of: Any = type.__dict__["__module__"].__get__
_qualname_of: Any = type.__dict__["__qualname__"].__get__
_struct_fields_of: Any = type(msgspec.Struct).__dict__["__struct_fields__"].__get__

_FIELD_TABLES = ("__dataclass_fields__", "__pydantic_fields__", "model_fields", "__fields__")
"""Class attributes whose keys are field names: dataclasses, pydantic 2.10 and newer, older pydantic 2, pydantic 1."""


def type_name(kind: type) -> str:
    """Return ``module.QualName`` of a class, without the module for builtins."""
    name = str.__str__(_qualname_of(kind))
    try:
        module = _module_of(kind)
    except AttributeError:
        module = None
    if not issubclass(type(module), str):
        return name
    module = str.__str__(module)
    return name if module == "builtins" else f"{module}.{name}"


def field_names(kind: type) -> tuple[str, ...] | None:
    """Return the names of the fields that a class declares, in order, or None if it declares none."""
    if issubclass(kind, msgspec.Struct):
        return tuple(_struct_fields_of(kind))
    is_tuple = issubclass(kind, tuple)
    for cls in _mro_of(kind):
        own = _vars_of(cls)
        names = own.get("_fields") if is_tuple else _declared_names(own)
        if type(names) is tuple and all(type(name) is str for name in names):
            return names
    return None


def named_fields(value: object, names: tuple[str, ...], kind: type) -> Iterator[tuple[str, object]]:
    """Yield the fields of `value` that are set, with the extra fields of a pydantic model."""
    own = instance_dict(value, kind)
    for name in names:
        found = own.get(name, MISSING)
        if found is MISSING:
            found = read_slot(value, name, kind)
        if found is not MISSING:
            yield name, found
    extra = read_slot(value, "__pydantic_extra__", kind)
    if type(extra) is dict:
        yield from extra.items()


def instance_dict(value: object, kind: type) -> dict[Any, Any]:
    """Return the attributes that lie in the instance itself, or nothing; not a copy."""
    for cls in _mro_of(kind):
        descriptor = _vars_of(cls).get("__dict__")
        if type(descriptor) is GetSetDescriptorType:
            try:
                found = descriptor.__get__(value)
            except (AttributeError, TypeError):
                continue
            if type(found) is dict:
                return found
    return {}


def read_slot(value: object, name: str, kind: type) -> Any:
    """Return what a slot of `value` holds, or `MISSING`."""
    for cls in _mro_of(kind):
        descriptor = _vars_of(cls).get(name)
        if type(descriptor) is MemberDescriptorType:
            try:
                return descriptor.__get__(value)
            except (AttributeError, TypeError):
                continue
    return MISSING


def _declared_names(own: MappingProxyType[str, Any]) -> tuple[Any, ...] | None:
    for table_name in _FIELD_TABLES:
        table = own.get(table_name)
        if type(table) is dict:
            return tuple(table)
    attributes = own.get("__attrs_attrs__")
    if attributes is not None and issubclass(type(attributes), tuple):
        return tuple(read_slot(item, "name", type(item)) for item in tuple.__iter__(attributes))
    return None

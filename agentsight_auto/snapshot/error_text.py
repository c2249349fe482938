"""What an exception says, without asking the user's code.

In: an exception. Out: ``ValueError: text``.
Loses: what a ``__str__`` written in Python would have said; the arguments stand in for it.
"""

from __future__ import annotations

from typing import Any

from .fields import type_name
from .text import cut_text

_args_of: Any = BaseException.__dict__["args"].__get__
_name_of: Any = type.__dict__["__name__"].__get__
_mro_of: Any = type.__dict__["__mro__"].__get__
_vars_of: Any = type.__dict__["__dict__"].__get__

_SPEAKING = (KeyError, OSError, UnicodeDecodeError, UnicodeEncodeError, UnicodeTranslateError)
"""Builtin types whose own `__str__`, written in C, says more than their arguments."""

_OS_ERROR_FIELDS: Any = tuple(OSError.__dict__[name].__get__ for name in ("errno", "strerror", "filename", "filename2"))
_MAX_TEXT = 4096
_MAX_INT_BITS = 64


def describe_error(error: BaseException, limit_bytes: int = 2048) -> str:
    """Return the type's name and what the exception says, at most `limit_bytes` bytes of UTF-8.

    A `__str__` of the user's is never called, nor the `repr` of an argument that is not plain text or a number.
    """
    kind = type(error)
    name = str.__str__(_name_of(kind))
    text = _own_words(error, kind) if issubclass(kind, BaseException) else None
    return cut_text(f"{name}: {text}" if text else name, limit_bytes)


def _own_words(error: BaseException, kind: type) -> str:
    arguments = _args_of(error)
    if _speaks_safely(error, kind, arguments):
        try:
            return str(error)
        except (TypeError, ValueError, AttributeError):  # a field that was changed after the exception was made
            pass
    return ", ".join(_argument_text(argument) for argument in arguments[:16])


def _speaks_safely(error: BaseException, kind: type, arguments: tuple[object, ...]) -> bool:
    for cls in _mro_of(kind):
        if "__str__" in _vars_of(cls):
            speaker = cls
            break
    if not any(speaker is one for one in _SPEAKING):
        return False
    values = list(arguments)
    if speaker is OSError:
        values += [read(error) for read in _OS_ERROR_FIELDS]
    return all(_is_short_scalar(value) for value in values)


def _is_short_scalar(value: Any) -> bool:
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value) <= _MAX_TEXT
    if kind is int:
        return bool(value.bit_length() <= _MAX_INT_BITS)
    return kind is float or kind is bool or value is None


def _argument_text(argument: Any) -> str:
    kind = type(argument)
    if issubclass(kind, str):
        return str.__getitem__(argument, slice(0, _MAX_TEXT))
    return repr(argument) if _is_short_scalar(argument) else f"<{type_name(kind)}>"

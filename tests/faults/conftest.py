"""The fixture `row`: through it a test tells the table what it provoked and which figures it reached."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from agentsight_auto.testing import Recording

from .accounts import Books
from .table import PROPERTY, Row, note_of


@pytest.fixture
def row(request: pytest.FixtureRequest, _books: Books) -> Row:
    """The row of the matrix that this test is named after; figures that do not hold fail the test."""
    return Row.of_test(request.node.originalname)


@pytest.fixture
def _books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Books:
    """The books of the test: what its processes report, and its folders; settled when the test is over."""
    return Books(tmp_path, monkeypatch)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a test of a row whose figures do not hold, and let its notes travel with its report."""
    named = pyfuncitem.funcargs.get("row")
    try:
        outcome = yield
        if isinstance(named, Row):
            _settle(named, pyfuncitem.funcargs)
    finally:
        if isinstance(named, Row):
            pyfuncitem.user_properties.append((PROPERTY, note_of(named)))
    if isinstance(named, Row) and (missed := named.missed()):
        pytest.fail("; ".join(missed), pytrace=False)
    return outcome


def _settle(row: Row, fixtures: dict[str, object]) -> None:
    """Have the books looked at; what a test records into memory ends only after it."""
    books, recorded = fixtures["_books"], fixtures.get("recorded")
    assert isinstance(books, Books)
    if isinstance(recorded, Recording):
        books.note(recorded._runtime.flush(5))
    books.settle(row)

"""The fixture `row`: through it a test tells the table what it provoked and which figures it reached."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from .table import PROPERTY, Row, note_of


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """The row of the matrix that this test is named after; figures that do not hold fail the test."""
    return Row.of_test(request.node.originalname)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a test of a row whose figures do not hold, and let its notes travel with its report."""
    named = pyfuncitem.funcargs.get("row")
    try:
        outcome = yield
    finally:
        if isinstance(named, Row):
            pyfuncitem.user_properties.append((PROPERTY, note_of(named)))
    if isinstance(named, Row) and (missed := named.missed()):
        pytest.fail("; ".join(missed), pytrace=False)
    return outcome

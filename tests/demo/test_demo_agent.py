"""The demo's agent, shop and documents."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto import conversation
from agentsight_auto.demo import documents
from agentsight_auto.demo.agent import Agent, understand
from agentsight_auto.demo.desk import Desk, current_desk
from agentsight_auto.demo.scenarios import Case, make_cases
from agentsight_auto.demo.shop import AlreadyShipped, Purchase, Shop, UnknownOrder, WrongPasscode
from agentsight_auto.demo.texts import ANSWERS, COMMENTS, LANGUAGES, PHRASES
from agentsight_auto.testing import Recording

_INTENTS = {"insist": "human", "correct": None, "mumble": None}
_PHRASES = [(key, text) for key, by_language in PHRASES.items() for texts in by_language.values() for text in texts]


@contextmanager
def _serving(purchase: Purchase) -> Iterator[Shop]:
    """Serve at a desk of a shop that has sold one thing."""
    with closing(Shop([purchase])) as shop:
        before = current_desk.set(Desk("c", shop))
        yield shop
        current_desk.reset(before)


@pytest.fixture
def case() -> Case:
    """A case whose order is on its way."""
    return next(case for case in make_cases(40, seed=3, run="demo") if case.known["name"] == "Where is my parcel")


@pytest.mark.parametrize(("key", "text"), _PHRASES)
def test_every_phrase_is_understood_as_it_is_meant(key: str, text: str) -> None:
    """No rule of one language catches what is meant otherwise in another."""
    filled = text.format(order="A-1001", product="canoe", street="Lindenweg 7", passcode="123456")
    assert understand(filled) == _INTENTS.get(key, key)


def test_every_text_exists_in_every_language() -> None:
    """Whatever language a customer writes, there is a phrase, an answer and a comment."""
    for texts in (*PHRASES.values(), *ANSWERS.values(), *COMMENTS.values()):
        assert set(texts) == set(LANGUAGES)


@given(number=st.integers(1, 60), seed=st.integers())
def test_cases_are_as_many_as_asked_for_and_the_same_for_the_same_seed(number: int, seed: int) -> None:
    """Ids are unique within a run, and the seed settles everything."""
    cases = make_cases(number, seed=seed, run="demo-1")
    assert cases == make_cases(number, seed=seed, run="demo-1")
    assert len({case.known["conversation_id"] for case in cases}) == number
    assert len({case.purchase.order_id for case in cases}) == number


@given(text=st.text())
def test_the_agent_has_an_answer_to_any_text(text: str) -> None:
    """Whatever a customer writes, the agent says something, the same on a thread and on a loop."""
    purchase = make_cases(1, seed=1, run="demo")[0].purchase
    answers = []
    for is_async in (False, True):
        with _serving(purchase), conversation(record=False):
            agent = Agent("customer-1", "en")
            answers.append(asyncio.run(agent.answer_async(text)) if is_async else agent.answer(text))
    assert answers[0] == answers[1]
    assert answers[0].text


def test_a_carrier_that_is_silent_twice_is_a_failed_action_and_an_answer(recorded: Recording) -> None:
    """The agent asks twice, gives up, and says so; the failures are recorded as they were."""
    cases = make_cases(40, seed=3, run="demo")
    silent = next(case for case in cases if case.purchase.unanswered == 2)
    with _serving(silent.purchase), conversation("c"):
        answer = Agent(silent.purchase.customer_id, "en").answer(f"where is {silent.purchase.order_id}?")
    assert answer.text == ANSWERS["carrier_silent"]["en"]
    errors = {action["action_name"]: action["error_msg"] for action in recorded.actions()}
    assert errors["track_shipment"].startswith("CarrierTimeout")
    assert recorded.action_names().count("ask_carrier") == 2


def test_a_bare_order_number_goes_on_with_what_was_asked(recorded: Recording, case: Case) -> None:
    """After a mistyped number the right one is enough."""
    with _serving(case.purchase), conversation("c"):
        agent = Agent(case.purchase.customer_id, "en")
        assert agent.answer("where is B-9999?").text == ANSWERS["unknown_order"]["en"].format(order="B-9999")
        assert case.purchase.place in agent.answer(f"sorry, {case.purchase.order_id}").text
    assert recorded.actions("c")[1]["error_msg"] == "UnknownOrder: there is no order B-9999"


def test_the_shop_refuses_what_cannot_be_done(case: Case) -> None:
    """Unknown orders, parcels that have left and wrong codes are errors of their own."""
    with _serving(case.purchase) as shop:
        with pytest.raises(UnknownOrder, match="A-0000"):
            shop.order("A-0000")
        with pytest.raises(AlreadyShipped):
            shop.change_street(case.purchase.order_id, "Orchard Lane 1")
        with pytest.raises(WrongPasscode):
            shop.check_passcode(case.purchase.customer_id, "")


def test_the_photo_is_a_png_that_can_be_read() -> None:
    """Every chunk has its checksum, and the pixels are as many as the header says."""
    data = documents.photo((1, 2, 3))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    position, chunks = 8, {}
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        chunk = data[position + 4 : position + 8 + length]
        assert struct.unpack_from(">I", data, position + 8 + length) == (zlib.crc32(chunk),)
        chunks[chunk[:4]] = chunk[4:]
        position += 12 + length
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + 3 * width)
    assert b"IEND" in chunks


def test_the_invoice_is_a_pdf_whose_table_points_at_its_objects() -> None:
    """A reader that follows the cross-reference table finds each object where it is said to be."""
    data = documents.invoice("A-1001", 12900)
    assert data.startswith(b"%PDF-1.4")
    start = int(data.split(b"startxref\n")[1].split(b"\n")[0])
    assert data[start : start + 4] == b"xref"
    offsets = [int(line.split()[0]) for line in data[start:].splitlines()[3:] if line.endswith(b" n ")]
    assert len(offsets) == 6
    for number, offset in enumerate(offsets, 1):
        assert data[offset:].startswith(b"%d 0 obj" % number)
    assert b"Invoice A-1001: 129.00 EUR" in data

"""Keys: who may ask, and what is kept of a key."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto.store.keys import is_well_formed, list_keys, new_key, revoke_key

from .support import Client, Served, until

LIST = "/api/conversations/"
NO_CREDENTIALS = {"detail": "Authentication credentials were not provided."}
BAD_KEY = {"detail": "Invalid API key."}


def send(served: Served, *headers: tuple[str, str]) -> tuple[int, object]:
    answer = served.send("GET", LIST, headers=list(headers))
    return answer.status_code, answer.json()


@pytest.mark.parametrize("keyword", ["Api-Key", "api-key", "API-KEY", "Bearer", "bearer", "BEARER"])
def test_both_keywords_in_any_case_are_accepted(served: Served, keyword: str) -> None:
    """A key after Api-Key or Bearer opens the API."""
    assert send(served, ("Authorization", f"{keyword} {served.key()}"))[0] == 200


@pytest.mark.parametrize("header", ["", "Api-Key", "Basic dTpw", "Token abc", "ags_only"])
def test_a_request_without_a_key_is_told_so(served: Served, header: str) -> None:
    """No header, no key after the keyword or another scheme is 401 with the documented text."""
    headers = [("Authorization", header)] if header else []
    assert send(served, *headers) == (401, NO_CREDENTIALS)


def test_a_wrong_key_is_refused_whatever_is_wrong_with_it(served: Served) -> None:
    """Unknown, malformed, truncated, with a bad checksum, or not ASCII: 401 with the documented text."""
    key = served.key()
    wrong = [new_key(), "ags_x", key[:-1], key + "0", f"{key[:-6]}{'0' * 6}", "ключ", "ags_" + "g" * 32]
    for text in wrong:
        header = f"Api-Key {text}".encode()
        answer = served.send("GET", LIST, headers=[(b"Authorization", header)])
        assert (answer.status_code, answer.json()) == (401, BAD_KEY), text
        assert answer.headers["www-authenticate"] == "Api-Key"


def test_two_authorization_headers_are_refused(served: Served) -> None:
    """Nobody knows which of the two is meant."""
    header = ("Authorization", f"Api-Key {served.key()}")
    assert send(served, header, header) == (401, BAD_KEY)


def test_a_revoked_key_is_refused_within_a_second(served: Served) -> None:
    """Also where the key was used a moment before."""
    client = served.client()
    assert client.get(LIST).status_code == 200
    (key,) = list_keys(served.service.database)
    assert revoke_key(served.service.database, key.id, at_us=1_700_000_000_000_001)
    until(lambda: client.get(LIST).status_code == 401, within_s=1.0)
    assert not revoke_key(served.service.database, key.id, at_us=1_700_000_000_000_002)


def test_a_key_expires(served: Served) -> None:
    """It is valid up to its moment, and refused within a second after it, also where it was used just before."""
    now_us = time.time_ns() // 1000
    assert Client(served, served.key(expires_at_us=now_us - 1)).get(LIST).status_code == 401
    client = Client(served, served.key(expires_at_us=now_us + 3_600_000_000))
    assert client.get(LIST).status_code == 200
    with served.service.database.write() as connection:
        connection.exec_driver_sql("UPDATE api_keys SET expires_at_us = ?", (now_us,))
    until(lambda: client.get(LIST).status_code == 401)


def test_when_a_key_was_last_used_is_stored(served: Served) -> None:
    """A list of keys shows it soon after the request; a key that was not used has none."""
    used, unused = served.client(), served.client()
    assert used.get(LIST).status_code == 200
    first, second = until(lambda: [keys for keys in [list_keys(served.service.database)] if keys[0].last_used_at_us])[0]
    assert first.last_used_at_us > first.created_at_us
    assert second.last_used_at_us is None
    assert (first.hint, second.hint) == (used.key[-6:], unused.key[-6:])


def test_only_a_hash_of_the_key_is_stored(served: Served, tmp_path: Path) -> None:
    """The key's secret is in no file of the store."""
    client = served.client()
    client.say("c1")
    secret = client.key.split("_")[1].encode()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path


def test_a_read_key_may_not_write(served: Served) -> None:
    """Every writing operation answers 403 to a read key, whatever the body; every reading one lets it in."""
    reader = served.client(role="read")
    served.client().open("c1")
    for operation in served.service.operations:
        path = operation.path.replace("{id}", "1").replace("{name}", "0" * 64)
        answer = reader.request(operation.method, path)
        if operation.role == "write":
            assert answer.status_code == 403, operation
            assert answer.json() == {"detail": "You do not have permission to perform this action."}
        else:
            assert answer.status_code not in {401, 403}, operation


def test_every_route_but_the_public_ones_wants_a_key(served: Served) -> None:
    """Without a key each of them answers 401, or 403 where that is documented."""
    stranger = served.stranger()
    for operation in served.service.operations:
        path = operation.path.replace("{id}", "1").replace("{name}", "0" * 64)
        status = stranger.request(operation.method, path).status_code
        assert (status == operation.bad_key_status) == (operation.role is not None), operation


@given(st.text(max_size=60))
def test_no_other_text_is_well_formed(text: str) -> None:
    """Whatever the text, reading it as a key does not fail; only made ones pass."""
    assert not is_well_formed(text)


def test_a_made_key_is_well_formed_in_any_case() -> None:
    """As the documented form is read without regard to case; one wrong digit is noticed before the store is asked."""
    key = new_key()
    assert is_well_formed(key)
    assert is_well_formed(key.upper())
    wrong = "0" if key[10] != "0" else "1"
    assert not is_well_formed(key[:10] + wrong + key[11:])


def test_a_key_works_in_any_case(served: Served) -> None:
    """The documented form of a key has no case."""
    assert Client(served, served.key().upper()).get(LIST).status_code == 200

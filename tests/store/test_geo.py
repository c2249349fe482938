"""Places: right for known addresses, None for everything else, and never a failure."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsight_auto.store.database import Database
from agentsight_auto.store.geo import GeoLookup, Place, public_address
from agentsight_auto.store.ingest import ingest

from .material import conversation, said, started

KNOWN = {
    "81.2.69.142": ("London", "GB"),
    "216.160.83.56": ("Milton", "US"),
    "89.160.20.112": ("Linköping", "SE"),
    "175.16.199.1": ("Changchun", "CN"),
}


@pytest.fixture(scope="module")
def city_file() -> Path:
    """MaxMind's test database; skips where it is absent."""
    path = Path(__file__).parents[3] / "shared" / "data" / "GeoIP2-City-Test.mmdb"
    if not path.exists():
        pytest.skip("../shared/data/GeoIP2-City-Test.mmdb is absent: known addresses cannot be looked up")
    pytest.importorskip("maxminddb", reason="maxminddb is not installed: known addresses cannot be looked up")
    return path


@pytest.mark.parametrize("address", KNOWN)
def test_known_addresses_have_a_place(city_file: Path, address: str) -> None:
    """City, country and time zone of the addresses that the file knows, also written as IPv6 and with blanks."""
    lookup = GeoLookup(city_file)
    place = lookup.find(address)
    assert place is not None
    assert place[:2] == KNOWN[address]
    assert place.timezone is not None
    assert "/" in place.timezone
    assert lookup.find(f" {address} ") == lookup.find(f"::ffff:{address}") == place


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "::1", "fe80::1", "224.0.0.1", "nonsense",
                                     "81.2.69", "", None, "1.1.1.1:80", "\x00"])  # fmt: skip
def test_other_addresses_have_none(city_file: Path, address: str | None) -> None:
    """Private, special and unreadable addresses have no place."""
    assert GeoLookup(city_file).find(address) is None
    assert public_address(address) is None


@settings(max_examples=100, deadline=None)
@given(address=st.text() | st.ip_addresses().map(str))
def test_no_text_makes_it_fail(city_file: Path, address: str) -> None:
    """Any text gives a place or None."""
    assert isinstance(GeoLookup(city_file).find(address), Place | None)


def test_without_a_file_everything_is_unknown() -> None:
    """No path, no places, nothing imported."""
    assert GeoLookup(None).find("81.2.69.142") is None


@pytest.mark.parametrize("content", [None, b"", b"not a database" * 100])
def test_a_file_that_cannot_be_read_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    """A missing, empty or foreign file gives None for every address and one warning that names it."""
    path = tmp_path / "city.mmdb"
    if content is not None:
        path.write_bytes(content)
    lookup = GeoLookup(path)
    with caplog.at_level(logging.WARNING):
        assert [lookup.find("81.2.69.142") for _ in range(3)] == [None] * 3
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]


def test_a_damaged_file_does_no_harm(city_file: Path, tmp_path: Path) -> None:
    """A file with its middle overwritten gives places or None, never an error."""
    data = bytearray(city_file.read_bytes())
    data[len(data) // 4 : len(data) // 2] = b"\xff" * (len(data) // 2 - len(data) // 4)
    (tmp_path / "city.mmdb").write_bytes(data)
    lookup = GeoLookup(tmp_path / "city.mmdb")
    for address in KNOWN:
        assert isinstance(lookup.find(address), Place | None)


def test_a_missing_package_is_reported(
    city_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without maxminddb everything is None and the warning names the package."""
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    assert GeoLookup(city_file).find("81.2.69.142") is None
    assert "maxminddb" in caplog.text


def geo(database: Database) -> list[object]:
    """Return city, country and time zone of the conversation."""
    return [conversation(database)[name] for name in ("geo_city", "geo_country", "geo_timezone")]


def test_a_conversation_gets_the_place_of_its_address(city_file: Path, database: Database) -> None:
    """The place follows the address, new or filled in later, and changes with an earlier one that arrives late."""
    lookup = GeoLookup(city_file)
    ingest(database, [said()], geo=lookup)
    assert geo(database) == [None] * 3
    ingest(database, [started(at=5, customer_ip_address="81.2.69.142")], geo=lookup)
    assert geo(database) == ["London", "GB", "Europe/London"]
    ingest(database, [said(at=9), started(at=9, name="n")], geo=lookup)
    assert geo(database) == ["London", "GB", "Europe/London"]
    ingest(database, [started(at=1, customer_ip_address="89.160.20.112")], geo=lookup)
    assert geo(database) == ["Linköping", "SE", "Europe/Stockholm"]
    ingest(database, [started(customer_ip_address="the office")], geo=lookup)
    assert (conversation(database)["customer_ip_address"], geo(database)) == ("the office", [None] * 3)

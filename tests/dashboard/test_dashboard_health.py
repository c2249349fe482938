"""What the health page says of an installation, and to whom."""

from __future__ import annotations

import re
from pathlib import Path

from agentsight_auto.deliver.losses import LossBook
from agentsight_auto.deliver.rejected import Rejected, RejectedEvent
from agentsight_auto.deliver.segment import HEADER, frame
from tests.server.support import Served

from .support import Browser


def figures(text: str) -> dict[str, str]:
    """Return the numbers of the balance by their titles."""
    return dict(re.findall(r'<li class="card"><h2>([^<]+)</h2><p class="value[^"]*">([^<]+)</p>', text))


def test_the_balance_adds_up_and_each_loss_has_its_reason(tmp_path: Path) -> None:
    """What was recorded is what is stored, waits, was rejected or was lost."""
    with Served(tmp_path, local_agent="default") as served:
        browser, client, outbox = Browser(served, "localhost"), served.client("default"), tmp_path / "outbox"
        assert "There is no outbox" in browser.get("/health/").text
        for name in ("chat-1", "conv_0123456789ab"):
            client.open(name)
            client.say(name)
        outbox.mkdir()
        text = browser.get("/health/").text
        assert "Nothing was lost, and nothing waits" in text
        assert figures(text) == {"Recorded": "2", "In the store": "2", "Waiting": "0", "Rejected": "0", "Lost": "0"}
        assert '<a href="/?insight=implicit&amp;environment=all">1</a>' in text
        (outbox / "123-0123abcd").mkdir()
        (outbox / "123-0123abcd" / "1.segment").write_bytes(HEADER + frame([b"{}"]))
        assert "1 event waits for delivery." in browser.get("/health/").text
        Rejected(outbox).add([RejectedEvent(1, "no such kind: <b>", "{}")] * 2)
        assert "2 events were rejected and are kept." in browser.get("/health/").text
        LossBook(outbox).note({"outbox_full": 3, "made of cheese": 4})
        text = browser.get("/health/").text
    assert figures(text) == {"Recorded": "12", "In the store": "2", "Waiting": "1", "Rejected": "2", "Lost": "7"}
    assert "7 events were lost." in text
    for told in ("The outbox was full</td>", "made of cheese</td>", "no such kind: &lt;b&gt;", "123 ", str(tmp_path)):
        assert told in text, told


def test_what_belongs_to_all_is_shown_to_the_owner_alone(served: Served) -> None:
    """With agents of several owners in one store, nobody sees its file, its outbox, or what others recorded."""
    reader = Browser(served)
    reader.sign_in(served.key("shop", "read"))
    assert "agentsight.db" in reader.get("/health/").text
    served.client("other").say("theirs")
    text = reader.get("/health/").text
    assert "agentsight.db" not in text
    assert figures(text) == {}
    assert "<dt>Conversations</dt><dd>0</dd>" in text


def test_what_came_over_http_is_counted(served: Served) -> None:
    """Events are counted by what became of them since the server started."""
    client = served.client()
    event = {"kind": "action", "id": "0" * 31 + "1", "conversation_id": "c1", "at_us": 1_700_000_000_000_000}
    for _ in range(2):
        client.post("/api/events/", {"events": [{**event, "action_name": "find"}, {"kind": "nonsense"}]})
    reader = Browser(served)
    reader.sign_in(client.key)
    received = reader.get("/health/").text.partition("Received over HTTP")[2]
    assert re.findall(r"<dt>([^<]+)</dt><dd>(\d+)</dd>", received)[:3] == [
        ("Stored", "1"),
        ("Known already", "1"),
        ("Rejected", "2"),
    ]

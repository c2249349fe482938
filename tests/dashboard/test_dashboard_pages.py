"""What the pages show and what they change, asked without a browser."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agentsight_auto.query.board.timeline import lay_out
from agentsight_auto.query.definitions import METRICS
from agentsight_auto.server.dashboard import languages, markup
from agentsight_auto.server.dashboard.axis import draw
from agentsight_auto.server.dashboard.entries import arrange, cut
from agentsight_auto.server.dashboard.rendering import static_files
from tests.server.support import Client, Served

from .support import Browser

FOLDER = Path(languages.__file__).parent


def listed(text: str) -> list[str]:
    """Return the titles that a list shows, in order."""
    return re.findall(r'<a class="open"[^>]*>([^<]*)</a>', text)


def test_the_list_is_newest_first_with_first_and_last_words(visitor: Browser, client: Client) -> None:
    """A row says what the customer asked, what the agent said last, and how much there was."""
    for number in (1, 2):
        client.open(f"chat-{number}", name=f"Chat {number}", timestamp=f"2026-11-0{number}T10:00:00Z")
        client.say(f"chat-{number}", f"question {number}", timestamp=f"2026-11-0{number}T10:00:01Z")
        client.say(f"chat-{number}", f"answer {number}", sender="agent", timestamp=f"2026-11-0{number}T10:00:03Z")
    text = visitor.get("/").text
    assert listed(text) == ["Chat 2", "Chat 1"]
    assert "question 1" in text
    assert "answer 1" in text
    assert "3 s" in text


def test_every_filter_is_in_the_address(visitor: Browser, client: Client) -> None:
    """Each filter finds what it should, alone and together, and the facets link to it."""
    client.open("a", name="A", device="mobile", source="web", language="de", customer_id="mia")
    client.open("b", name="B", device="desktop", source="web", language="en")
    client.say("a", "Wo ist mein Paket?")
    client.patch(f"/api/conversations/{client.open('b')}/update/", {"is_marked": True})
    asked = {
        "device=mobile": ["A"], "source=web": ["B", "A"], "language=en": ["B"], "is_marked=true": ["B"],
        "search=paket": ["A"], "customer_id=mia": ["A"], "device=mobile&language=en": [], "range=24h": ["B", "A"],
        "from=2000-01-01&to=2000-01-02": [], "environment=all": ["B", "A"],
    }  # fmt: skip
    for query, found in asked.items():
        assert listed(visitor.get(f"/?{query}").text) == found, query
    assert "device=mobile" in visitor.get("/?language=de").text
    assert "<mark>Paket</mark>" in visitor.get("/?search=paket").text


def test_pages_do_not_move_while_conversations_arrive(visitor: Browser, client: Client) -> None:
    """What the second page shows stays the same when new conversations come in, and they are announced."""
    for number in range(45):
        client.open(f"chat-{number:02}", timestamp=f"2026-11-01T10:{number:02}:00Z")
    first = visitor.get("/").text
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    path = older[1].replace("&amp;", "&")
    before = listed(visitor.get(path).text)
    client.open("late", timestamp="2026-11-01T12:00:00Z")
    assert listed(visitor.get(path).text) == before
    assert not set(before) & set(listed(first))
    live = re.search(r'data-live="([^"]+)"', first)
    assert live is not None
    assert visitor.get(live[1].replace("&amp;", "&")).json()["count"] == 1


def test_production_hides_development_and_nothing_else(visitor: Browser, client: Client) -> None:
    """With production in the time asked for, development is left out, which the page says; staging is not."""
    old, new = "2026-11-01T10:00:00Z", "2026-11-05T10:00:00Z"
    client.open("dev", name="Dev", environment="development", timestamp=new)
    text = visitor.get("/").text
    assert listed(text) == ["Dev"]
    assert '<span class="badge warn"' in text
    client.open("stage", name="Stage", environment="staging", timestamp=new)
    assert sorted(listed(visitor.get("/").text)) == ["Dev", "Stage"]
    client.open("prod", name="Prod", environment="production", timestamp=old)
    text = visitor.get("/").text
    assert listed(text) == ["Stage", "Prod"]
    assert "Left out: development." in text
    assert '<span class="badge warn"' not in text
    assert sorted(listed(visitor.get("/?environment=all").text)) == ["Dev", "Prod", "Stage"]
    assert sorted(listed(visitor.get("/?from=2026-11-04").text)) == ["Dev", "Stage"]
    for path in ("/numbers/?range=all", "/actions/?range=all", "/?range=all"):
        assert "Left out: development." in visitor.get(path).text, path
    assert visitor.get("/export/?format=jsonl").text.count("\n") == 2


def test_a_facet_takes_several_values_and_gives_them_back(visitor: Browser, client: Client) -> None:
    """Each click adds a value, or takes one away, in the list and as a chip; other views keep what was chosen."""
    for number, source in enumerate(("web", "voice", "email")):
        client.open(f"chat-{number}", name=source, source=source)
    text = visitor.get("/?source=web").text
    assert "/?source=web&amp;source=voice" in text
    text = visitor.get("/?source=web&source=voice&search=chat").text
    assert sorted(listed(text)) == ["voice", "web"]
    assert text.count('class="filter"') == 3
    assert 'href="/?source=voice&amp;search=chat"' in text
    assert 'href="/numbers/?source=web&amp;source=voice"' in text
    assert visitor.get("/numbers/?range=all&source=web&source=voice").text.count('class="filter"') == 2
    assert len(visitor.get("/export/?format=jsonl&source=web&source=email").text.splitlines()) == 2
    assert listed(visitor.get("/?environment=staging").text) == []


def test_the_owner_chooses_among_the_agents_of_the_store(tmp_path: Path) -> None:
    """Where nobody signs in, the menu and the list name all agents; a number that is none changes nothing."""
    with Served(tmp_path, local_agent="default") as served:
        browser = Browser(served, "localhost")
        served.client("default").open("ours", name="Ours")
        assert 'name="agent"' not in browser.get("/").text
        served.client("other").open("theirs", name="Theirs")
        text = browser.get("/").text
        assert listed(text) == ["Ours"]
        (other,) = re.findall(r'name="agent" value="(\d+)"><svg[^>]*>.*?</svg><span>other<', text)
        browser.post("/preferences/", {"agent": other})
        assert listed(browser.get("/").text) == ["Theirs"]
        browser.cookies["agentsight_agent"] = "99"
        assert listed(browser.get("/").text) == ["Ours"]


def test_a_conversation_is_edited_in_place(visitor: Browser, client: Client) -> None:
    """Name, mark, metadata and feedback are stored, and what cannot be is said in words."""
    number = client.open("chat-1")
    here = f"/conversations/{number}/"
    message = client.say("chat-1", "An answer.", sender="agent")
    assert visitor.post(here + "rename/", {"name": "Lost parcel"}).headers["location"] == here
    visitor.post(here + "mark/", {"is_marked": "true"})
    visitor.post(here + "metadata/", {"metadata": '{"plan": "pro"}'})
    visitor.post(here + "feedback/", {"sentiment": "negative", "comment": "Too slow"})
    visitor.post(here + "message-feedback/", {"sentiment": "positive", "message": message})
    shape = client.get(f"/api/conversations/{number}/").json()
    assert (shape["name"], shape["is_marked"], shape["metadata"]) == ("Lost parcel", True, {"plan": "pro"})
    assert shape["feedbacks"][0]["comment"] == "Too slow"
    assert shape["messages"][0]["feedback"]["sentiment"] == "positive"
    for path, fields in (
        ("metadata/", {"metadata": "[1"}),
        ("rename/", {"name": " "}),
        ("feedback/", {"sentiment": "x"}),
    ):
        assert visitor.post(here + path, fields).status_code == 400
    assert client.get(f"/api/conversations/{number}/").json() == shape


def test_an_outcome_is_set_and_found(visitor: Browser, client: Client) -> None:
    """Resolving and escalating move a conversation, and the outcome is a filter."""
    number = client.open("chat-1", name="A")
    client.say("chat-1", "Where is it?")
    client.say("chat-1", "Here.", sender="agent")
    visitor.post(f"/conversations/{number}/end/", {"how": "resolve", "note": "Found it"})
    assert listed(visitor.get("/?status=resolved").text) == ["A"]
    visitor.post(f"/conversations/{number}/end/", {"how": "escalate", "note": "Angry"})
    assert listed(visitor.get("/?status=escalated").text) == ["A"]
    assert "Angry" in visitor.get(f"/conversations/{number}/").text


def test_a_selection_is_marked_exported_and_deleted(visitor: Browser, client: Client) -> None:
    """Ticked conversations are marked, exported as JSON lines and CSV, and deleted after a question."""
    numbers = [client.open(f"chat-{number}") for number in range(3)]
    client.say("chat-0", "=HYPERLINK(1)")
    chosen = numbers[:2]
    visitor.post("/selection/", {"do": "mark", "ids": chosen})
    assert [client.get(f"/api/conversations/{number}/").json()["is_marked"] for number in numbers] == [
        True,
        True,
        False,
    ]
    lines = visitor.post("/selection/", {"do": "jsonl", "ids": chosen})
    assert "attachment" in lines.headers["content-disposition"]
    assert [json.loads(line)["conversation_id"] for line in lines.text.splitlines()] == ["chat-0", "chat-1"]
    assert '"\'=HYPERLINK(1)"' in visitor.post("/selection/", {"do": "csv", "ids": chosen}).text
    assert "Delete 2 conversations?" in visitor.post("/selection/", {"do": "delete", "ids": chosen}).text
    assert len(client.listed()) == 3
    visitor.post("/selection/", {"do": "delete", "ids": chosen, "confirmed": "yes"})
    assert client.listed() == ["chat-2"]
    assert len(visitor.get("/export/?format=jsonl").text.splitlines()) == 1


def test_attachments_are_saved_as_they_are_and_shown_as_new_pictures(visitor: Browser, client: Client) -> None:
    """Bytes are only ever downloaded; a picture is painted anew, without what else was in it; others are no picture."""
    client.open("chat-1")
    data = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    Image.new("RGB", (2000, 10), "red").save(data, "JPEG", exif=exif)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    files = [("a.jpg", "image/jpeg", data.getvalue()), ("b.png", "image/png", svg), ("c.html", "text/html", svg)]
    body = [
        {"filename": name, "mime_type": kind, "data": base64.b64encode(content).decode()}
        for name, kind, content in files
    ]
    sent = client.post("/api/attachments/", {"conversation_id": "chat-1", "attachments": body}).json()["attachments"]
    answers = [visitor.get(f"/attachments/{item['id']}/") for item in sent]
    assert [answer.content for answer in answers] == [content for _, _, content in files]
    pictures = [visitor.get(f"/attachments/{item['id']}/picture/") for item in sent]
    assert [answer.status_code for answer in pictures] == [200, 404, 404]
    assert b"secret place" not in pictures[0].content
    assert Image.open(io.BytesIO(pictures[0].content)).size == (1280, 6)
    for answer in [*answers, pictures[0]]:
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox; default-src 'none'" in answer.headers["content-security-policy"]


def action(number: int, parent: int | None = None) -> dict[str, Any]:
    """Return the message of an action in the documented shape."""
    log = {"id": number, "parent_id": parent, "error_message": "", "duration_ms": 1.0, "started_at": None}
    shape = {"id": number, "sender": "agent", "content": "", "action_name": f"a{number}", "button": None}
    logged = {"action_logs": [{**log, "metadata": {}}], "metadata": {}}
    return {**shape, **logged, "attachments": [], "timestamp": "2026-11-01T10:00:00Z"}


def test_inner_actions_lie_inside_the_outer_one() -> None:
    """Children follow their parent; of parents that name each other one is outside, and none is lost."""
    entries = arrange({"messages": [action(1), action(2, 1), action(3, 2), action(4, 5), action(5, 4), action(6, 99)]})
    inside = [[inner.log["id"] for inner in entry.walk() if inner.log] for entry in entries]
    assert inside == [[1, 2, 3], [5, 4], [6]]


def test_ten_thousand_nested_actions_stay_readable() -> None:
    """What is nested deeper than can be shown lies beside the last that can; the timeline shows all as well."""
    shape = {"messages": [action(1), *(action(number, number - 1) for number in range(2, 10_001))]}
    (outer,) = arrange(shape)
    assert sum(1 for _ in outer.walk()) == 10_000
    layout = lay_out({**shape, "id": 1, "conversation_id": "c", "started_at": "2026-11-01T10:00:00Z"})
    axis = draw(layout, languages.Texts("en", languages.read_zone("UTC")), lambda number: f"#m{number}", 2)
    assert axis is not None
    assert (len(axis.rows), axis.number, axis.count) == (250, 2, 40)


def test_a_part_is_found_by_its_number_or_by_what_is_in_it() -> None:
    """A link to a message inside an action leads to the part with it, and opens what is around it."""
    shape = {"messages": [*(action(number) for number in range(1, 1001)), action(2000, 1000)]}
    entries = arrange(shape)
    assert [(cut(entries, number=number, at=None).first) for number in (None, 1, 2, 3, 9)] == [1, 1, 401, 801, 801]
    assert cut(entries, number=None, at=401).number == 2
    assert cut(entries, number=None, at=424242).number == 1
    assert not any(entry.is_open for entry in entries[:400])
    part = cut(entries, number=None, at=2000)
    assert (part.number, part.count, part.first, len(part.entries)) == (3, 3, 801, 200)
    assert part.entries[-1].is_open
    assert part.entries[-1].children[0].is_open
    assert not part.entries[0].is_open


def test_every_text_is_there_in_every_language() -> None:
    """Catalogs have the same keys and placeholders, and all that pages ask for."""
    catalogs = languages.catalogs()
    english = catalogs["en"]

    def holes(entry: Any) -> set[str]:
        forms = entry.values() if isinstance(entry, dict) else [entry]
        return {hole for form in forms for hole in re.findall(r"{(\w+)}", form)}

    metrics = {f"{kind}_{metric.name}" for metric in METRICS for kind in ("metric", "define")}
    for code, catalog in catalogs.items():
        assert catalog.keys() - metrics == english.keys(), code
        assert code == "en" or metrics <= catalog.keys(), code
        for key in english:
            assert holes(catalog[key]) == holes(english[key]), (code, key)
    sources = [path.read_text() for suffix in ("html", "py") for path in FOLDER.rglob(f"*.{suffix}")]
    asked = {key for text in sources for key in re.findall(r"""\b[tn]\(['"](\w+[a-z0-9])['"][,)]""", text)}
    assert len(asked) > 100
    assert asked - english.keys() == set()


@pytest.mark.parametrize("code", ["en", "de"])
def test_every_page_is_there_in_every_language(visitor: Browser, client: Client, code: str) -> None:
    """The chosen language is on the page, and so are its numbers and dates."""
    number = client.open("chat-1", timestamp="2025-03-01T10:00:00Z")
    client.say("chat-1", timestamp="2025-03-01T10:00:00Z")
    visitor.post("/preferences/", {"language": code, "zone": "Europe/Berlin", "theme": "dark"})
    for path in (
        "/",
        f"/conversations/{number}/",
        f"/conversations/{number}/timeline/",
        "/numbers/?range=all",
        "/actions/",
        "/health/",
    ):
        text = visitor.get(path).text
        assert f'<html lang="{code}" dir="ltr" data-theme="dark"' in text
    when = {"en": "Mar 1, 2025, 11:00", "de": "1. März 2025, 11:00"}[code]
    assert when in visitor.get("/").text.replace("\u202f", " ")


def test_durations_and_numbers_are_written_for_people() -> None:
    """One or two units, in the language's own form."""
    english, german = (languages.Texts(code, languages.read_zone("UTC")) for code in ("en", "de"))
    written = [english.duration(ms) for ms in (None, 0.02, 5.25, 320, 2400, 192_000, 7_500_000, 200_000_000)]
    assert written == ["\u2013", "20 µs", "5.2 ms", "320 ms", "2.4 s", "3 min 12 s", "2 h 5 min", "2 d 7 h"]
    assert german.duration(2400) == "2,4 s"
    assert (english.number(1234.5), german.number(1234.5)) == ("1,234.5", "1.234,5")
    assert english.money(0.0123) == "$0.0123"
    assert english.percent(0.1234) == "12.3%"


def test_markdown_keeps_its_form_and_loses_its_dangers() -> None:
    """Lists and links stay; HTML becomes text, images become links, and no scheme runs anything."""
    html = markup.rich(
        "**a** <b onclick=x>\n\n- [x](https://e.example)\n- ![pic](https://e.example/p.png)\n\n[j](javascript:alert(1))"
    )
    assert "<strong>a</strong>" in html
    assert "<img" not in html
    assert "&lt;b onclick=x&gt;" in html
    assert 'href="javascript' not in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert markup.rich("find me", "ME") == "<p>find <mark>me</mark></p>\n"
    assert markup.visible("a\x1b[31m\u202eb\x00") == "a␛[31mb␀"


def test_the_static_files_are_small_and_our_own() -> None:
    """All static files together stay below 100 kB, and name no other host."""
    files = static_files()
    assert sum(len(content) for content, _ in files.values()) < 100_000
    for name, (content, _) in files.items():
        assert not re.findall(rb"https?://(?!www\.w3\.org/2000/svg)", content), name


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    """The first page of a newcomer shows what to paste."""
    with Served(tmp_path, local_agent="default") as served:
        text = Browser(served, "localhost").get("/").text
        assert "No conversations yet" in text
        assert "with conversation(" in text


def test_a_store_that_cannot_be_read_gives_a_page_in_words(tmp_path: Path) -> None:
    """A damaged file is a page that says so and what to do, not an error of the server."""
    with Served(tmp_path, local_agent="default") as served:
        browser = Browser(served, "localhost")
        served.client("default").open("chat-1")
        served.service.database.empty_log(5.0)
        path = served.service.settings.db_path
        data = path.read_bytes()
        path.write_bytes(data[:100] + b"\xff" * (len(data) - 100))
        for page in ("/", "/conversations/1/", "/numbers/", "/health/"):
            answer = browser.get(page)
            assert answer.status_code == 503, page
            assert "agentsight-auto doctor" in answer.text
        path.write_bytes(data)  # for what is written when the server ends

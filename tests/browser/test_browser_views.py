"""Every view in a real browser: what it shows, what keys and edits do, and that it can be read by everyone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentsight_auto import _runtime, conversation

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

VIEWS = (
    "/", "/?environment=all&search=refund", "/conversations/3/", "/conversations/3/timeline/", "/numbers/?range=all",
    "/actions/", "/health/", "/?search=nothing-has-this", "/conversations/999999/", "/sign-in/",
)  # fmt: skip
SERIOUS = {"serious", "critical"}


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 360)])
def test_everyone_can_read_every_view(page: Page, address: str, theme: str, width: int) -> None:
    """Axe finds nothing serious, nothing is wider than the window, light on a wide screen and dark on a phone."""
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 844})
    found = []
    for path in VIEWS:
        page.goto(address + path)
        for details in page.query_selector_all("main details:not(.menu)")[:4]:
            details.evaluate("element => { element.open = true }")
        result = Axe().run(page)
        found += [
            (path, item["id"], item["nodes"][0]["html"][:150])
            for item in result.response["violations"]
            if item["impact"] in SERIOUS
        ]
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, (path, width)
        assert page.evaluate("window.__violations") == []
    assert found == []


def test_the_list_is_read_filtered_and_opened_by_keys(page: Page, address: str) -> None:
    """Search, facets, the strip, and moving to a conversation and back, with keys alone."""
    page.goto(address + "/")
    assert page.locator(".list tbody tr").count() == 30
    page.keyboard.press("/")
    page.keyboard.type("refund")
    page.keyboard.press("Enter")
    page.wait_for_url("**search=refund**")
    assert page.locator(".words mark").first.inner_text().lower() == "refund"
    for device in ("mobile", "desktop"):
        page.locator(".facets a", has_text=device).focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**device={device}**")
    assert "search=refund" in page.url
    assert page.locator(".facets a[aria-current]").all_inner_texts()[-2:] != []
    assert page.locator(".chosen .filter").count() == 3
    page.locator(".chosen .filter", has_text="desktop").click()
    page.wait_for_function("document.querySelectorAll('.chosen .filter').length === 2")
    page.locator(".chosen .filter", has_text="mobile").click()
    page.wait_for_function("document.querySelectorAll('.chosen .filter').length === 1")
    title = page.locator("a.open").nth(1).inner_text()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/conversations/**")
    assert page.locator("h1").inner_text() == title
    opened = page.url
    page.keyboard.press("]")
    page.wait_for_url(lambda url: "/conversations/" in url and url != opened)
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.classList.contains('entry')")
    page.keyboard.press("u")
    page.wait_for_url("**/?*search=refund*")
    page.goto(address + "/")
    page.locator(".bars a").last.dispatch_event("click")
    page.wait_for_url("**from=**to=**")


def test_a_stretch_of_time_is_chosen_by_dragging(page: Page, address: str) -> None:
    """Dragging over the strip filters the list to what lies under it."""
    page.goto(address + "/?environment=all")
    bars = page.locator(".bars .bar")
    first, last = bars.first.bounding_box(), bars.last.bounding_box()
    assert first is not None
    assert last is not None
    page.mouse.move(first["x"] + 1, first["y"] + 5)
    page.mouse.down()
    page.mouse.move(last["x"] + 1, last["y"] + 5, steps=4)
    page.mouse.up()
    page.wait_for_url("**from=**to=**")


def test_a_transcript_is_edited_in_place(page: Page, address: str) -> None:
    """Name, mark, feedback, metadata, and a judgement on an answer, with the mouse as people do it."""
    page.goto(address + "/conversations/5/")
    page.get_by_text("Rename").click()
    page.get_by_label("Name").fill("A better name")
    page.locator("form[action$='rename/'] button").click()
    assert page.locator("h1").inner_text() == "A better name"
    page.wait_for_load_state("load")
    page.keyboard.press("m")
    page.wait_for_selector(".chat-head .star.on")
    page.get_by_text("Add feedback").click()
    page.get_by_label("negative").check()
    page.get_by_label("Comment").fill("It took too long.")
    page.locator("form[action$='/feedback/'] button").click()
    assert "It took too long." in page.locator(".facts").inner_text()
    page.locator("summary", has_text="Edit").first.click()
    page.get_by_label("Metadata as a JSON object").fill('{"checked": true}')
    page.locator("form[action$='metadata/'] button").click()
    assert "checked" in page.locator(".facts").inner_text()
    page.locator(".entry.agent.message .votes button").first.click(force=True)
    page.wait_for_selector(".who .chip.good")
    page.goto(address + "/?is_marked=true&environment=all")
    assert page.locator("a.open", has_text="A better name").count() == 1


def test_a_link_leads_to_what_it_names(page: Page, address: str) -> None:
    """To a hit, to a message, and to a call inside another one, which is opened for it."""
    page.goto(address + "/?name=Slow&search=depot+is")
    page.locator("a.open").first.click()
    assert page.locator(".entry:target mark").inner_text() == "depot is"
    here = page.locator(".entry.end_user .permalink").first.get_attribute("href")
    page.goto(page.url.partition("#")[0] + str(here))
    assert page.locator(".entry:target .text").inner_text() == "Why is it so slow?"
    page.goto(address + "/actions/?action_name=ask_depot")
    page.locator("td.error a", has_text="no answer").first.click()
    page.wait_for_url("**/conversations/**")
    assert page.locator("details.action:target").is_visible()
    assert page.locator("details.action:target .error").inner_text() == "TimeoutError: no answer"


def test_the_timeline_explains_a_slow_answer(page: Page, address: str) -> None:
    """Rows stand in the order in which things began, what was inside others below them, and the answer sums it up."""
    page.goto(address + "/?name=Slow+3")
    page.locator("a.open").first.click()
    page.locator(".tabs a", has_text="Timeline").click()
    rows = page.locator(".axis .mark a text").all_text_contents()
    assert [row.partition(":")[0] for row in rows] == ["Customer", "plan_route", "ask_depot", "Agent"]
    told = page.locator(".axis .length").all_text_contents()
    assert told[1:] == ["7 s", "5 s", "9 s, 78% of it in actions"]
    page.locator(".axis .mark a", has_text="ask_depot").click()
    page.wait_for_url("**/conversations/*/?*at=*")
    assert page.locator("details.action:target").is_visible()


@pytest.mark.parametrize("width", [360, 2560])
def test_pages_turn_for_languages_that_are_written_from_right_to_left(page: Page, address: str, width: int) -> None:
    """With the direction turned, columns change sides, charts keep time's direction, and nothing sticks out."""
    page.set_viewport_size({"width": width, "height": 844})
    for path in VIEWS:
        page.goto(address + path)
        page.evaluate("document.documentElement.dir = 'rtl'")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, (path, width)
    page.goto(address + "/")
    page.evaluate("document.documentElement.dir = 'rtl'")
    facets, rows = page.locator(".facets").bounding_box(), page.locator(".list").bounding_box()
    brand, first = page.locator(".brand").bounding_box(), page.locator(".ends span").first.bounding_box()
    assert facets is not None
    assert rows is not None
    assert brand is not None
    assert first is not None
    assert brand["x"] > width / 2 > first["x"]
    assert width == 360 or facets["x"] > rows["x"] + rows["width"]


def test_every_number_opens_the_list_behind_it(page: Page, address: str) -> None:
    """A number shows how it is counted, and leads to as many conversations as it says."""
    page.goto(address + "/numbers/?environment=all&range=all")
    card = page.locator(".card:has(h3:text-is('Handed over'))")
    card.locator("summary").click()
    assert "hand-over to a human" in card.locator("details p").inner_text()
    count = card.locator(".value").inner_text()
    card.locator(".value a").click()
    page.wait_for_url("**insight=escalated**")
    assert page.locator(".total").inner_text().startswith(f"{count} conversations")
    assert page.locator(".outcome", has_text="escalated").count() > 0


def test_actions_unfold_and_show_what_went_in_and_came_out(page: Page, address: str) -> None:
    """An action is folded, and shows arguments and result when it is opened; those inside it lie inside."""
    page.goto(address + "/?action_name=ask_carrier")
    page.locator("a.open").first.click()
    outer = page.locator("details.action:has(details.action)").first
    assert outer.locator("details.action").first.is_hidden()
    outer.locator("summary").first.click()
    assert outer.locator("details.action").first.is_visible()
    assert outer.get_by_text("Arguments").first.is_visible()


def test_new_conversations_are_announced_and_move_nothing(page: Page, address: str, home: Path) -> None:
    """What arrives is announced above the list; the rows stay until the reader asks."""
    page.goto(address + "/")
    before = page.locator("a.open").all_inner_texts()
    runtime = _runtime.Runtime(home=home, environment="production")
    with _runtime.used_as_default(runtime), conversation("live-1", name="Just arrived") as chat:
        chat.track_human_message("Hello?")
    runtime.shutdown(10)
    note = page.locator(".arrivals")
    note.wait_for(state="visible")
    assert re.match(r"\d+ new conversation", note.inner_text())
    assert page.locator("a.open").all_inner_texts() == before
    note.locator("a").click()
    page.wait_for_selector("a.open >> text=Just arrived")


def test_a_selection_is_made_and_exported(page: Page, address: str) -> None:
    """Ticking shows what can be done with the ticked ones; the export is a download."""
    page.goto(address + "/")
    assert page.locator(".bulk").is_hidden()
    page.locator("[data-all]").check()
    assert page.locator("[name=ids]:checked").count() == 30
    with page.expect_download() as download:
        page.locator(".bulk button", has_text="JSON lines").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 30


def test_language_theme_and_zone_are_the_readers(page: Page, context: BrowserContext, address: str) -> None:
    """The browser's zone is taken up by itself; language and theme are chosen and stay."""
    page.goto(address + "/")
    page.wait_for_function("document.documentElement.dataset.zone === 'Europe/Berlin'")
    page.locator(".top .menu summary").click()
    page.get_by_label("Language").select_option("de")
    page.wait_for_selector("html[lang=de]")
    assert page.locator(".top nav a").first.inner_text() == "Konversationen"
    page.locator(".top .menu summary").click()
    page.get_by_label("Darstellung").select_option("dark")
    page.wait_for_selector("html[data-theme=dark]")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(19, 22, 24)"
    assert {cookie["name"] for cookie in context.cookies()} == {
        "agentsight_language",
        "agentsight_theme",
        "agentsight_zone",
    }


def test_pages_work_without_scripts(chromium: object, address: str) -> None:
    """Searching, opening and editing need no JavaScript."""
    context = chromium.new_context(java_script_enabled=False)  # type: ignore[attr-defined]
    try:
        tab = context.new_page()
        tab.goto(address + "/")
        tab.locator("input[name=search]").fill("refund")
        tab.locator(".search button").click()
        assert tab.locator(".words mark").count() > 0
        tab.locator("a.open").first.click()
        assert tab.locator(".entry").count() > 0
        tab.locator(".chat-head .star").click()
        assert tab.locator(".chat-head .star.on").count() == 1
    finally:
        context.close()

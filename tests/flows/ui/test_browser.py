"""`vecmill ui` in a browser: headless Chromium, without a network, on a desk and on a phone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Route

    from tests.flows.ui.served import Served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
PAGES = (
    "/", "/runs", "/dead", "/alerts", "/sql", "/features/notes", "/features/notes/search?id=r3",
    "/features/photos/search?id=red", "/features/sounds/search?id=440.wav",
    "/features/notes/record?id=r1", "/features/sounds/record?id=440.wav", "/features/notes/map",
    "/features/notes/plan", "/features/notes/report", "/features/coming", "/nowhere",
)  # fmt: skip
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run",
)  # fmt: skip

# What those who hear a page need of it; rules of WCAG 2.2 that can be looked up in the page itself.
_HEARD = """() => {
  const bad = [], all = (s) => [...document.querySelectorAll(s)];
  if (all("h1").length !== 1) bad.push("not one h1");
  if (document.documentElement.lang !== "en") bad.push("no language");
  if (all("main").length !== 1) bad.push("no main");
  let last = 1;
  for (const one of all("h1, h2, h3, h4")) {
    const level = Number(one.tagName[1]);
    if (level > last + 1) bad.push(`heading ${one.textContent} jumps from ${last} to ${level}`);
    last = level;
  }
  for (const one of all("input, textarea, select"))
    if (!one.labels?.length && !one.getAttribute("aria-label")) bad.push(`no label: ${one.name}`);
  for (const one of all("iframe")) if (!one.title) bad.push("frame without a title");
  for (const one of all("img")) if (!one.alt) bad.push("picture without words");
  for (const one of all("a, button"))
    if (!one.hidden && !one.textContent.trim()) bad.push("empty link");
  for (const one of all("table")) if (!one.caption || !one.querySelector("th[scope=col]"))
    bad.push("table without caption or headings");
  const ids = all("[id]").map((one) => one.id);
  if (new Set(ids).size < ids.length) bad.push(`ids twice: ${ids.sort()}`);
  return bad;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield found
        found.close()


@pytest.fixture
def asked() -> list[str]:
    """Addresses that a page asked for beyond its own server, and what a console was told."""
    return []


@pytest.fixture
def page(browser: Browser, served: Served, asked: list[str]) -> Iterator[Page]:
    """A page that can reach its own server alone."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    own = (served.address, "data:", "blob:")

    def route(one: Route) -> None:
        if one.request.url.startswith(own):
            one.continue_()
        else:
            asked.append(one.request.url)
            one.abort()

    context.route("**/*", route)
    found = context.new_page()
    found.on("pageerror", lambda error: asked.append(f"error: {error}"))
    found.on("console", lambda said: asked.append(said.text) if said.type == "error" else None)
    found.set_default_timeout(300_000)
    yield found
    context.close()


def settled(page: Page) -> None:
    page.wait_for_selector(".slot.working", state="detached")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_at_any_width_and_can_be_heard(
    page: Page, served: Served, asked: list[str], path: str
) -> None:
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(served.address + path)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(_HEARD) == []
    expected = [
        "Failed to load resource: the server responded with a status of 404 (Not Found)"
    ] * 2
    assert asked == (expected if path == "/nowhere" else [])


def test_light_and_dark_go_by_the_system_and_by_the_button(page: Page, served: Served) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="dark")
    page.goto(served.address)
    assert page.evaluate(ground) == "rgb(21, 22, 26)"
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == "rgb(252, 252, 251)"
    page.click("#theme")
    page.click("#theme")
    assert page.evaluate(ground) == "rgb(21, 22, 26)", "dark, whatever the system says"
    page.goto(f"{served.address}/runs")
    assert page.evaluate(ground) == "rgb(21, 22, 26)", "and it is remembered"


def test_a_search_by_keys_alone_ends_at_what_was_found(
    page: Page, served: Served, asked: list[str]
) -> None:
    page.goto(f"{served.address}/features/notes")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    while page.evaluate("document.activeElement.type") != "search":
        page.keyboard.press("Tab")
    page.keyboard.type("milla millb millc")
    page.keyboard.press("Enter")
    page.wait_for_selector("#found")
    assert page.locator(".found li").count() == 10
    assert page.locator(".found dd", has_text="mill").count() >= 10
    assert asked == []


def test_what_takes_long_says_so_and_then_gives_its_answer(page: Page, served: Served) -> None:
    page.goto(f"{served.address}/sql")
    # One step after the other: longer than a page waits, however many cores there are.
    page.fill("textarea", "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL FROM t SELECT n + 1 "
              "WHERE n < 400000) SELECT max(n) AS n FROM t")  # fmt: skip
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".slot.working [role=status]")
    assert "Asking" in page.inner_text(".slot.working")
    page.goto(f"{served.address}/runs")
    assert page.inner_text("h1") == "Runs", "other pages are there meanwhile"
    page.go_back()
    page.wait_for_selector("#found, [role=alert]")


def test_sql_answers_with_a_table_and_a_file(page: Page, served: Served, asked: list[str]) -> None:
    page.goto(f"{served.address}/sql")
    page.click("a[data-statement='FROM notes LIMIT 20']")
    assert page.input_value("textarea") == "FROM notes LIMIT 20"
    page.click("text=Ask")
    page.wait_for_selector("#found")
    assert page.locator("#answer tbody tr").count() == 20
    with page.expect_download() as download:
        page.click("text=Download as CSV")
    assert download.value.suggested_filename == "rows.csv"
    assert len(download.value.path().read_text("utf-8").splitlines()) == 21
    page.fill("textarea", "FROM read_text('/etc/passwd')")
    page.click("text=Ask")
    page.wait_for_selector("[role=alert]")
    assert "disabled" in page.inner_text("[role=alert]")
    assert asked == []


def test_a_picture_is_searched_by(page: Page, served: Served, asked: list[str]) -> None:
    page.goto(f"{served.address}/features/photos/search")
    picture = served.project.root / "photos" / "blue.png"
    page.set_input_files("input[type=file]", picture)
    page.click("text=Search by picture")
    page.wait_for_selector(".found")
    assert page.locator(".found li").first.locator("h3 a").inner_text() == "blue"
    shown = "[...document.querySelectorAll('.found img')].every((one) => one.naturalWidth > 0)"
    assert page.evaluate(shown)
    assert asked == []


def test_a_recording_is_played(page: Page, served: Served, asked: list[str]) -> None:
    page.goto(f"{served.address}/features/sounds/record?id=440.wav")
    length = """async () => {
      const sound = document.querySelector("audio");
      await new Promise((done, failed) => {
        sound.onloadedmetadata = done; sound.onerror = failed; sound.preload = "auto"; sound.load();
      });
      return sound.duration;
    }"""
    assert page.evaluate(length) == pytest.approx(0.5, abs=0.01)
    assert asked == []


def test_a_map_and_a_report_are_drawn_within_the_page(
    page: Page, served: Served, asked: list[str]
) -> None:
    page.goto(f"{served.address}/features/notes/map")
    inside = page.frame_locator("iframe")
    inside.locator("#legend >> text=mill").wait_for()
    page.goto(f"{served.address}/features/notes/report")
    page.frame_locator("iframe").locator("text=How to get the same again").first.wait_for()
    assert asked == []


def test_without_scripts_a_page_asks_again_by_itself(browser: Browser, served: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served.address}/features/coming/plan")
    page.click("button:has-text('Plan')")
    page.wait_for_selector("text=61 to encode", timeout=300_000)
    context.close()


def test_a_script_in_a_record_does_not_run(page: Page, served: Served, asked: list[str]) -> None:
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    page.goto(f"{served.address}/features/notes")
    link = page.locator(".tags a", has_text="<script>")
    link.click()
    assert page.inner_text("h2.id") == '<script>alert("rows")</script>'
    page.goto(f"{served.address}/sql")
    page.fill("textarea", "FROM notes WHERE label LIKE '<%'")
    page.click("text=Ask")
    page.wait_for_selector("#found")
    assert asked == []

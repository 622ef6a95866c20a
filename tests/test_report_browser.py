"""The report in a real browser: it asks for nothing, runs nothing and fits on the screen."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toetssteen.candidates import Candidate
from toetssteen.catalog import Card, Catalog
from toetssteen.evidence import weigh
from toetssteen.meters import NoMeter
from toetssteen.report.html import to_html
from toetssteen.report.results import to_record
from toetssteen.run.collect import collect
from toetssteen.run.mark import mark
from toetssteen.run.plan import make_plan
from toetssteen.run.store import Store
from toetssteen.spec import CandidateSpec, Language

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

CHROMIUM = os.environ.get("TOETS_CHROMIUM") or shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
SCRIPT = "<script>document.title='x'</script>"
# Right to left, no spaces, towers of accents: what pushes a page out of shape.
HOSTILE = f"{SCRIPT}\u202e\u2067\x00\x1b[31m{'w' * 5000} {'مرحبا' * 50} {'e' + chr(0x301) * 200}"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium on the PATH; name one in TOETS_CHROMIUM"
    ),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the report of a hostile candidate as two files."""
    script = {"otherwise": HOSTILE, "likes": {"Ja": -0.5, "Yes": -0.5}}
    spec = CandidateSpec.model_validate(
        {
            "title": f"Candidate {SCRIPT}",
            "licence": "EUPL-1.2",
            "adapter": {"name": "scripted", "args": script},
        }
    )
    plan = make_plan(
        Card("scripted", Path("scripted.yaml"), spec), Catalog().tasks(["quick"]), seed=1, limit=12
    )
    folder = tmp_path_factory.mktemp("report")
    with Store(folder / "run") as store:
        candidate: Candidate = plan.adapter.open(spec, Path())
        collect(plan, candidate, store, meter=NoMeter(), on_progress=lambda *_: None)
        outcome = mark(plan, store.answers)
    record = to_record(outcome, weigh(outcome), sessions=store.answers.sessions)
    files = {}
    for language in ("nl", "en"):
        files[language] = folder / f"report.{language}.html"
        files[language].write_text(to_html(record, language=language), encoding="utf-8")
    return files


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a Chromium without a network."""
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(params=["nl", "en"])
def opened(
    request: pytest.FixtureRequest, browser: Any, pages: dict[str, Path]
) -> Iterator[tuple[Any, str, dict[str, list[str]]]]:
    """Return one report opened from its file, its address, and what the browser complained of."""
    language: Language = request.param
    address = pages[language].as_uri()
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page = context.new_page()
    seen: dict[str, list[str]] = {"requests": [], "errors": []}
    page.on("request", lambda asked: seen["requests"].append(asked.url))
    page.on("pageerror", lambda error: seen["errors"].append(str(error)))
    page.on(
        "console",
        lambda said: (
            seen["errors"].append(said.text) if said.type in {"error", "warning"} else None
        ),
    )
    page.goto(address)
    yield page, address, seen
    context.close()


def test_the_page_asks_for_nothing_but_itself(
    opened: tuple[Any, str, dict[str, list[str]]],
) -> None:
    _, address, seen = opened
    assert [url for url in seen["requests"] if not url.startswith("data:")] == [address]
    assert seen["errors"] == []


def test_a_script_in_an_answer_is_text_to_read(
    opened: tuple[Any, str, dict[str, list[str]]],
) -> None:
    page, _, seen = opened
    title = page.title()
    assert title != "x"
    page.locator("summary").first.click()
    answer = page.locator(".answer .said").first
    assert answer.is_visible()
    assert SCRIPT in answer.inner_text()
    assert page.title() == title
    assert page.evaluate("document.scripts.length") == 0
    assert seen["errors"] == []


@pytest.mark.parametrize("width", [1280, 640, 400])
def test_the_page_does_not_scroll_sideways(
    opened: tuple[Any, str, dict[str, list[str]]], width: int
) -> None:
    """640 is 1280 at 200 %, where WCAG 1.4.10 asks for the same."""
    page, _, _ = opened
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.scrollWidth") <= width


def test_a_keyboard_reaches_the_content_first(
    opened: tuple[Any, str, dict[str, list[str]]],
) -> None:
    page, _, _ = opened
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_the_page_prints(opened: tuple[Any, str, dict[str, list[str]]]) -> None:
    page, _, _ = opened
    assert page.pdf(format="A4", prefer_css_page_size=True).startswith(b"%PDF")

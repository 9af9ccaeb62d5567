"""The report: one page that opens by itself, shows what the study holds, is small, and runs none of its names."""

import json
import math
import time

import pytest

from descend.board.reader import Reader, shown_of
from descend.board.report import page_of, report
from descend.board.shown import Asked, Shown
from descend.direct.filling import Uniform
from descend.errors import InvalidValue
from descend.study import Record, Study

FOREIGN = "#main img, #main script, #main b, #main iframe, header img, header script, header b"
VIEWS = ("overview", "parameters", "trials", "failures", "workers", "compare")


@pytest.fixture(scope="module")
def page(file, tmp_path_factory):
    """A report on both studies of the file."""
    with Reader(file) as reader:
        text = page_of([reader.shown(name) for name in reader.names()])
    path = tmp_path_factory.mktemp("report") / "report.html"
    with Study(file, "tune", readonly=True) as study:
        report(study, path)  # puts the script beside it
    path.write_text(text, encoding="utf-8")
    return path


def test_five_thousand_trials_are_less_than_a_megabyte(view_of_many) -> None:
    page = page_of([Shown(view_of_many(5000), lambda number: Record(number, "done", {"p0": 0.5}, (1.0,)))])
    assert 300_000 < len(page.encode()) < 1_000_000
    assert 'src="plotly.min.js"' in page


def test_the_script_lies_beside_the_page_once(tmp_path) -> None:
    study = Study(method=Uniform(), key=0)
    study.run(lambda trial: trial.float("x", 0, 1), trials=9)
    for name in ("a.html", "b.html"):
        assert report(study, tmp_path / name) == tmp_path / name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html", "plotly.min.js"]
    assert "<script>window" not in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_a_study_without_trials_makes_a_page() -> None:
    assert '"trials":0' in page_of([shown_of(Study(method=Uniform(), key=0))])


def test_a_report_that_cannot_be_written_is_a_sentence(tmp_path) -> None:
    study = Study(method=Uniform(), key=0)
    study.run(lambda trial: trial.float("x", 0, 1), trials=1)
    with pytest.raises(InvalidValue, match="does its folder exist"):
        report(study, tmp_path / "nowhere" / "report.html")
    with pytest.raises(InvalidValue, match="no study to report"):
        report([], tmp_path / "report.html")


# in a browser


@pytest.mark.parametrize("width", [390, 1300])
def test_every_view_opens_without_a_word_of_complaint(browser, page, width) -> None:
    browser.open(page.as_uri(), width)
    for view in VIEWS:
        browser.show(view, "tune")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")  # nothing is cut off on a phone
    assert not browser.complaints
    beside = [url for url in browser.asked if not url.startswith(("data:", "about:"))]
    assert {url.split("#")[0] for url in beside} <= {page.as_uri(), page.with_name("plotly.min.js").as_uri()}


def test_no_name_is_run(browser, page, file) -> None:
    with Reader(file) as reader:
        names = reader.names()
    browser.open(page.as_uri())
    for name in names:
        for view in VIEWS:
            browser.show(view, name)
            assert browser.run("document.querySelector('#title').textContent") == name
            assert browser.run("window.pwned === undefined")
            assert browser.run(f"document.querySelectorAll('{FOREIGN}').length") == 0
    browser.show("trials", names[1])
    browser.run("document.querySelectorAll('tbody tr')[5].click()")
    browser.until("document.querySelector('dialog[open]') !== null")
    assert browser.run("window.pwned === undefined")
    assert not browser.complaints


def test_the_page_sorts_and_pages_as_the_server_does(browser, page, file) -> None:
    with Reader(file) as reader:
        shown = reader.shown("tune")
        for sort, down, state, first in (
            ("number", True, "", 0), ("value 0", False, "", 0), ("value 0", True, "", 50),
            ("param svc.C", False, "", 0), ("param rate", True, "done", 50), ("seconds", True, "failed", 0),
            ("state", False, "", 0),
        ):  # fmt: skip
            expected = shown.trials(Asked(sort, down, state, first))
            browser.open(f"{page.as_uri()}#trials/tune")
            browser.until("document.querySelectorAll('tbody tr').length === 50")
            click_sort(browser, sort, down)
            if state:
                browser.run(
                    f"(() => {{ const filter = document.querySelector('.tools select'); filter.value = '{state}'; "
                    "filter.dispatchEvent(new Event('change')); })()"
                )
            if first:
                browser.run("[...document.querySelectorAll('.tools button')].at(-1).click()")
            numbers = [row["number"] for row in expected["rows"]]
            browser.until(f"JSON.stringify({NUMBERS}) === '{json.dumps(numbers, separators=(',', ':'))}'", 10)


NUMBERS = "[...document.querySelectorAll('tbody tr td:first-child')].map((cell) => Number(cell.textContent))"


def click_sort(browser, sort, down) -> None:
    label = {"number": "trial", "value 0": "value", "seconds": "time"}.get(sort, sort.removeprefix("param "))
    find = f"[...document.querySelectorAll('th')].find((cell) => cell.title === {json.dumps(label)})"
    order = "descending" if down else "ascending"
    for _ in range(3):
        if browser.run(f"{find}.getAttribute('aria-sort')") == order:
            return
        browser.run(f"{find}.querySelector('button').click()")
        time.sleep(0.05)
    raise AssertionError(f"{label} is not sorted {order}")


def test_the_numbers_in_the_page_are_those_of_the_study(browser, page, file) -> None:
    with Study(file, "tune", readonly=True) as study:
        best = study.best
    browser.open(f"{page.as_uri()}#overview/tune")
    shown = browser.until("document.querySelector('.big')?.textContent").replace("−", "-")
    assert math.isclose(float(shown), best.value, rel_tol=1e-5)
    browser.open(f"{page.as_uri()}#trials/tune")
    browser.until("document.querySelectorAll('tbody tr').length === 50")
    browser.run("document.querySelector('tbody tr').click()")
    text = browser.until("document.querySelector('dialog[open]')?.innerText")
    assert "Trial 69" in text
    assert "rate" in text


def test_a_failure_shows_its_traceback(browser, page) -> None:
    browser.open(f"{page.as_uri()}#failures/tune")
    browser.until("document.querySelectorAll('details').length === 10")
    browser.run("document.querySelector('details summary').click()")
    assert "Traceback" in browser.until("document.querySelector('details[open] pre')?.innerText")


def test_light_becomes_dark(browser, page) -> None:
    browser.open(f"{page.as_uri()}#overview/tune")
    browser.until("document.querySelector('.figure').dataset.drawn === 'yes'")
    light = browser.run("getComputedStyle(document.body).backgroundColor")
    browser.run("document.querySelector('#theme').click()")
    assert browser.run("getComputedStyle(document.body).backgroundColor") != light


def test_without_the_script_beside_it_the_page_says_what_is_missing(browser, page, tmp_path) -> None:
    alone = tmp_path / "alone.html"
    alone.write_bytes(page.read_bytes())
    browser.open(f"{alone.as_uri()}#overview/tune")
    browser.until("document.querySelector('.figure .empty')?.textContent.includes('plotly.min.js')")
    assert browser.run("document.querySelectorAll('.card').length") == 3

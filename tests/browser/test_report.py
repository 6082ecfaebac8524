"""The report in Chromium: it sorts, reads well on a phone and a desk, and asks nobody for anything.

    python -m pytest -m browser tests/browser

needs Playwright (extra `browser`) and a Chromium on the PATH; that there is none is a failure.
"""

import itertools

import numpy as np
import pytest
from results.made import made

pytestmark = pytest.mark.browser
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
EVIL = "<script>alert(1)</script>"
RATES = [0.01, 0.1, 9.0, 10.0, 0.02]
NAMES = ["relu", "tanh", EVIL, "gelu", "elu"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    scores = np.array([0.5, 0.2, np.nan, 0.9, 0.3])[:, None, None] + [[0.0], [0.01]]
    result = made(scores, {"learning_rate": RATES, "activation": NAMES})
    return result.report(tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def long_report(tmp_path_factory):
    columns = {"learning_rate": np.geomspace(1e-3, 1, 600)}
    result = made(np.linspace(0.1, 0.9, 600)[:, None, None], columns)
    return result.report(tmp_path_factory.mktemp("long") / "report.html")


@pytest.fixture
def opened(browser):
    """Open a page; afterwards, check that it had no errors and requested nothing."""
    wrong, requests, pages = [], [], []

    def open_page(path, viewport=DESK, **settings):
        page = browser.new_page(viewport=viewport, **settings)
        page.set_default_timeout(5000)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        pages.append((page, path))
        return page

    yield open_page
    assert not wrong
    own = {path.as_uri() for _, path in pages}
    assert not [url for url in requests if url not in own and not url.startswith("data:")]
    for page, _ in pages:
        page.close()


def column(page, name):
    heads = page.locator("table.all thead th").all_inner_texts()
    cells = page.locator(f"table.all tbody td:nth-child({1 + heads.index(name)})")
    return cells.all_inner_texts()


def head(page, name):
    return page.locator("table.all th", has=page.get_by_role("button", name=name, exact=True))


def test_numbers_are_sorted_as_numbers_by_a_click(opened, report):
    page = opened(report)
    assert head(page, "rank").get_attribute("aria-sort") == "ascending"
    head(page, "learning_rate").get_by_role("button").click()
    assert column(page, "learning_rate") == ["0.01", "0.02", "0.1", "9", "10"]
    assert head(page, "learning_rate").get_attribute("aria-sort") == "ascending"
    assert head(page, "rank").get_attribute("aria-sort") is None
    head(page, "learning_rate").get_by_role("button").click()
    assert column(page, "learning_rate") == ["10", "9", "0.1", "0.02", "0.01"]
    assert head(page, "learning_rate").get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_words_are_sorted_from_the_keyboard(key, opened, report):
    page = opened(report)
    head(page, "activation").get_by_role("button").focus()
    page.keyboard.press(key)
    assert column(page, "activation") == [EVIL, "elu", "gelu", "relu", "tanh"]


def test_nan_is_last_both_ways(opened, report):
    page = opened(report)
    for order in (["0.205", "0.305", "0.505", "0.905"], ["0.905", "0.505", "0.305", "0.205"]):
        head(page, "valid_loss").get_by_role("button").click()
        assert column(page, "valid_loss") == [*order, "–"]


def test_a_long_table_has_pages_and_a_filter_and_says_what_it_shows(opened, long_report):
    page = opened(long_report)
    said = page.get_by_role("status")
    assert said.inner_text() == "Rows 1 to 100 of 600"
    page.get_by_role("button", name="Next").click()
    assert said.inner_text() == "Rows 101 to 200 of 600"
    assert column(page, "rank")[0] == "101"
    page.get_by_label("Filter").fill("0.8466")
    assert said.inner_text() == "Rows 1 to 1 of 1 that has “0.8466” (of all 600)"


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_it_reads_well(viewport, opened, report, long_report):
    for path in (report, long_report):
        page = opened(path, viewport)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        box = page.locator(".answer").bounding_box()
        assert box["y"] + box["height"] <= viewport["height"]  # without scrolling
        sizes = page.evaluate(
            "[...document.body.querySelectorAll('*')].filter(e => e.innerText && e.offsetHeight)"
            ".map(e => parseFloat(getComputedStyle(e).fontSize))"
        )
        assert min(sizes) >= 14
        images = page.evaluate(
            "[...document.images].map("
            "i => [i.naturalWidth, i.getBoundingClientRect().width, i.alt])"
        )
        assert images
        assert all(
            natural > 0 and width <= viewport["width"] and alt for natural, width, alt in images
        )


def test_headings_are_in_order(opened, report):
    page = opened(report)
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(e => +e.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def luminance(color):
    linear = [
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4
        for x in (c / 255 for c in color)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(scheme, opened, report):
    """WCAG 2.2, 1.4.3: 4.5 to 1 at least."""
    page = opened(report, color_scheme=scheme)
    pairs = page.evaluate(
        """[...document.querySelectorAll(
            'p, dt, dd, td, th button, figcaption, h1, h2, pre, .sign'
        )].map(e => {
            let box = e; while (getComputedStyle(box).backgroundColor === 'rgba(0, 0, 0, 0)') box =
            box.parentElement; const colors = [getComputedStyle(e).color,
            getComputedStyle(box).backgroundColor]; return colors.map(color =>
            color.match(/[0-9]+/g).map(Number));
        })"""
    )
    assert (luminance(pairs[0][1]) < 0.1) == (scheme == "dark")
    for pair in pairs:
        low, high = sorted(map(luminance, pair))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_it_can_be_printed(opened, report):
    assert opened(report).pdf().startswith(b"%PDF")

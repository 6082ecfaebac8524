"""What is on the page; how a browser shows it is tested in tests/browser."""

import base64
import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from results.made import made

import jefficient as jf
from jefficient.results import Simulation, Status

EVIL = "<script>alert(1)</script>"


def page(result, tmp_path, **settings):
    return result.report(tmp_path / "report.html", **settings).read_text("utf-8")


def text_of(page):
    parts = []
    parser = HTMLParser()
    parser.handle_data = parts.append
    parser.feed(page)
    return re.sub(r"\s+", " ", " ".join(parts))


def result_of(scores, **changes):
    return made(scores, {"learning_rate": np.geomspace(0.01, 0.1, len(scores))}, **changes)


def test_the_answer_comes_first(tmp_path):
    text = text_of(page(result_of([[[0.5], [0.7]], [[0.2], [0.3]]]), tmp_path, title="Mine"))
    assert "learning_rate = 0.1 valid_loss 0.25 ± 0.05 (mean ± standard error of 2 trials)" in text
    assert (
        text.index("learning_rate = 0.1") < text.index("Checks") < text.index("All configurations")
    )
    assert "4 finished" in text


def test_what_the_user_names_is_escaped(tmp_path):
    result = made([[[0.5]], [[0.4]]], {EVIL: [EVIL, '" onload="x']}, optimizer=EVIL)
    html = page(result, tmp_path, title=EVIL)
    assert EVIL not in html
    assert html.count("<script>") == 1  # the page's own
    assert text_of(html).count(EVIL) >= 4


def test_texts_that_no_page_can_show_are_escapes(tmp_path):
    name = "\ud800$x^2^3$"
    labels = ["a$HOME_$b", "\x1b]52;c;aGk=\x07\t\n\u202e"]
    result = made(
        np.array([[[0.5], [0.6]], [[0.4], [0.3]]]), {name: labels}, optimizer="first\nsecond\x9b"
    )
    html = page(result, tmp_path, title="\udfff")
    text = text_of(html)
    assert r"\udfff" in text
    assert r"\ud800$x^2^3$ = \x1b]52;c;aGk=\x07\t\n\u202e" in text
    assert "<pre>first\nsecond\\x9b</pre>" in html
    assert html.count("<img ") == len(re.findall(r"<figcaption>", html)) >= 3
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", html)


def test_nothing_comes_from_elsewhere(tmp_path):
    html = page(result_of([[[0.5]], [[0.4]]]), tmp_path)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert not re.search(r'(?:src|href)="(?!data:image/|#)', html)
    for kind, content in re.findall(r'src="data:image/([^;]*);base64,([^"]*)"', html):
        assert base64.b64decode(content, validate=True)[:5] in {b"<?xml", b"\x89PNG\r"}, kind


def test_every_plot_says_what_it_shows(tmp_path):
    result = result_of([[[0.5]], [[0.4]], [[0.6]]])
    texts = re.findall(r'<img [^>]*alt="([^"]*)"', page(result, tmp_path))
    assert texts[0] == result.plot.describe("values", "learning_rate")
    assert all(texts)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (Status.DIVERGED, "There is no best configuration"),
        (Status.RUNNING, "Nothing has finished so"),
    ],
)
def test_without_a_best_one_it_says_what_to_do(status, said, tmp_path):
    text = text_of(
        page(result_of(np.full((3, 2, 1), np.nan), status=np.full((3, 2, 1), status)), tmp_path)
    )
    assert said in text
    assert "Lower the learning rates" in text or "Read the result again" in text
    assert "no configuration finished" in text


def test_one_configuration_and_one_trial(tmp_path):
    text = text_of(page(result_of([[[0.5]]]), tmp_path))
    assert "from one trial: its error is unknown" in text
    assert "All 1 row;" in text


def test_no_warnings_is_said(tmp_path):
    falling = [
        [[[1.0, 0.6, 0.3, 0.3 + x]] for x in (0.0, 0.01, -0.01)],
        [[[1.0, 0.9, 0.9, 0.9]] for _ in range(3)],
    ]
    evaluations = {"valid_loss": np.asarray(falling), "train_loss": np.asarray(falling)}
    result = made(
        evaluations["valid_loss"][..., -1],
        {"activation": ["relu", "tanh"]},
        evaluations=evaluations,
    )
    assert not result.checks()
    assert "No warnings: the checks found nothing." in text_of(page(result, tmp_path))


def test_thousands_of_configurations_are_a_page_that_can_be_sent(tmp_path):
    scores = np.random.default_rng(0).random((3000, 2, 3))
    columns = {"learning_rate": np.geomspace(1e-4, 1, 3000), "l2": np.linspace(0, 1, 3000)}
    html = page(made(scores, columns), tmp_path)
    assert len(html) < 5e6
    assert html.rsplit("<tbody>", 1)[1].count("<tr>") == 3000
    assert "All 3\u202f000 rows" in html


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(
        jf.JefficientError, match=r"jf\.Result\.report: .*must be one that can be written"
    ):
        result_of([[[0.5]]]).report(tmp_path / "no" / "report.html")
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(
        jf.JefficientError, match=r"jinja2 must be installed.*pip install 'jefficient\[plot\]'"
    ):
        result_of([[[0.5]]]).report(tmp_path / "report.html")


def test_of_very_many_configurations_the_best_are_shown_and_the_page_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("jefficient.results.report._write.ROWS", 20)
    result = made(np.arange(1200.0)[::-1, None, None], {"learning_rate": list(range(1, 1201))})
    html = result.report(tmp_path / "page.html").read_text()
    assert "The first 20 of 1\u202f200 (<code>result.table()</code> has all)" in html
    assert "<h2>Configurations, best first</h2>" in html
    assert ">1199<" in html.partition('id="table"')[2]  # the best
    assert ">1179<" not in html.partition('id="table"')[2]


def test_what_mattered_and_what_stopping_costs_have_sections(tmp_path):
    pytest.importorskip("optuna")
    rng = np.random.default_rng(0)
    rates, idle = np.geomspace(1e-3, 1, 40), rng.random(40)
    scores = 0.4 + np.log(rates / 0.03) ** 2
    result = made(scores[:, None, None], {"rate": rates.tolist(), "idle": idle.tolist()})
    rule = Simulation(
        "Half()", "valid_loss", 0.4, 0.1, (3,), 2, np.full((40, 1, 1), "stopped"), np.ones(40), 1.0
    )
    text = text_of(page(result, tmp_path, stopping=[rule]))
    mattered = text.index("What mattered Importance for being among the best 10%")
    assert mattered < text.index("What stopping would have cost") < text.index("Checks")
    assert text.count(result.plot.describe("stopping", [rule])) == 2  # a section, and a plot

    other = dataclasses.replace(rule, metric="valid_error")
    with pytest.raises(jf.ArgumentError, match="valid_error"):
        page(result, tmp_path, stopping=[other])


def test_a_drawn_space_of_which_nothing_was_evaluated_has_a_page(tmp_path):
    rates = np.geomspace(1e-4, 0.1, 8)
    result = made(
        np.full((8, 1, 1), np.nan),
        {"rate": rates.tolist(), "decay": rates[::-1].tolist()},
        status=np.full((8, 1, 1), Status.INTERRUPTED),
    )
    assert "Nothing has finished so far" in text_of(page(result, tmp_path))

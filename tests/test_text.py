"""Texts of users on terminals, pages and plots: shown, never obeyed."""

import unicodedata

import jax
import numpy as np
import pytest

import jefficient as jf
from jefficient._core.array_text import array_texts
from jefficient._core.text import displayed, displayed_lines, escaped
from jefficient._core.warn import warn
from jefficient.results import Best
from jefficient.results.checks import Check, Checks
from jefficient.sweeps.scheduler import Progress

EVERYTHING = "".join(map(chr, range(0x110000)))
TURNS_AROUND = ("L", "R", "AL", "EN", "ES", "ET", "AN", "CS", "NSM", "BN", "B", "S", "WS", "ON", "")


def is_obeyed(character):
    """Whether Unicode says that this is no character to be shown, but an order."""
    is_bidi_order = unicodedata.bidirectional(character) not in TURNS_AROUND
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or is_bidi_order


def test_what_unicode_calls_an_order_is_escaped_and_nothing_else():
    marks = "\u061c\u200e\u200f"  # letters without a shape, which Unicode counts as letters
    changed = {x for x in EVERYTHING if displayed(x) != x}
    assert changed == {x for x in EVERYTHING if is_obeyed(x)} | set(marks)
    assert not any(map(is_obeyed, displayed(EVERYTHING)))


def test_escapes_are_those_of_python():
    assert displayed("a\t\n\r\\\x1b[2J\x9b\u202e\ud800 $x$ λ") == (
        r"a\t\n\r" "\\" r"\x1b[2J\x9b\u202e\ud800 $x$ λ"
    )
    assert displayed_lines("a\tb\nc\x07") == "a\tb\nc\\x07"


def test_a_cell_can_be_undone():
    cell = escaped(EVERYTHING)
    assert cell.encode("latin-1", "backslashreplace").decode("unicode_escape") == EVERYTHING
    assert not any(map(is_obeyed, cell))


HOSTILE = "\x1b]52;c;aGk=\x07\nwarning, fake: \u202e\ud800"


@pytest.mark.parametrize(
    "text",
    [
        str(Best(0, {}, {HOSTILE: HOSTILE}, HOSTILE, 0.5, 0.1, 3)),
        str(Checks([Check(name="noise", severity="note", evidence=HOSTILE, next_step="")])),
        str(Progress(1, 1, 1, 1, 1.0, 1.0, 0, 0, 1.0, HOSTILE, 0.5)),
        str(jf.JefficientError(HOSTILE.replace("\n", ""))),
    ],
)
def test_what_quotes_labels_is_one_line_without_orders(text):
    assert not any(map(is_obeyed, text))


def test_warnings_quote_without_orders():
    with pytest.warns(jf.JefficientWarning) as caught:
        warn(f"the configuration {HOSTILE}")
    assert r"\x1b]52;c;aGk=\x07" in str(caught[0].message)
    assert "\x1b" not in str(caught[0].message)


def test_the_errors_of_a_sweep_quote_without_orders():
    task = jf.Task(init=lambda key: 0.0, loss=lambda w, batch: w, data=None)
    with pytest.raises(jf.JefficientError) as raised:
        jf.sweep(task, jf.sgd, jf.grid(**{"\x1b[2J": [1.0]}), steps=1, key=jax.random.key(0))
    assert r"\x1b[2J" in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_arrays_are_short_texts_that_tell_them_apart():
    few = np.array([[0.1, 1e-7], [2.0, 0.3]])
    assert array_texts(few) == ["[0.1, 1e-07]", "[2, 0.3]"]
    many = np.arange(12.0).reshape(1, 3, 4) / 7
    assert array_texts(many) == ["[0, 0.1429, …, 1.571]"]
    alike = np.array([[1, 2, 3, 4, 5], [1, 2, 0, 4, 5], [9, 2, 3, 4, 5], [1, 2, 3, 4, 5]])
    first, second, third, again = array_texts(alike)
    assert first == again == "[1, 2, 3, 4, 5]"
    assert second == "[1, 2, 0, 4, 5]"
    assert third == "[9, 2, …, 5]"

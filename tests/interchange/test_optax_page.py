"""docs/optax.md is that of the installed optax."""

import re

import jax
import optax_page
import pytest


@pytest.fixture(scope="module")
def page():
    """The table's lines by optimizer."""
    table = re.findall(r"^\| `([\w.]+)` \|.*$", optax_page.PAGE.read_text(), re.M)
    lines = re.findall(r"^\| `[\w.]+` \|.*$", optax_page.PAGE.read_text(), re.M)
    return dict(zip(table, lines, strict=True))


def test_the_page_has_every_optimizer_and_number(page):
    found = optax_page.optimizers()
    assert set(page) == set(found), "run python tests/optax_page.py"
    for name, function in found.items():
        tried = set(re.findall(r"`(\w+)`", page[name].partition(" | ")[2]))
        assert set(optax_page.numbers_of(function)) <= tried, name


def test_a_row_is_measured_as_it_stands(page):
    with jax.numpy_dtype_promotion("standard"):
        row = optax_page.measured("fromage", optax_page.optimizers()["fromage"])
        assert not optax_page.runs_in_bfloat16(
            optax_page.optimizers()["sgd"], {"momentum": (0.9, 0.8)}
        )
    assert list(optax_page.lines(row)) == [page["fromage"]]


def test_what_cannot_be_traced_is_found(page):
    with jax.numpy_dtype_promotion("standard"):
        galore = optax_page.optimizers()["contrib.galore"]
        assert optax_page.why_not(galore, {"rank": (1, 2)}) == "TypeError"
    assert "`rank` (TypeError)" in page["contrib.galore"]

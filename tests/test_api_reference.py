"""Every public name has one entry in the API reference, and every entry can be imported."""

import inspect
import pkgutil
import re
from collections import Counter
from pathlib import Path

import jefficient as jf
import jefficient.integrations
import jefficient.testing
from jefficient.results import Result

PAGES = Path(__file__).parents[1] / "docs" / "api"
ENTRY = r"^::: (\S+)$|^#+ .* \{ #(\S+) \}$"  # from a docstring, or a heading for another library's


def entries():
    text = "\n".join(page.read_text() for page in PAGES.glob("*.md"))
    return [
        generated or written for generated, written in re.findall(ENTRY, text, flags=re.MULTILINE)
    ]


def public():
    names = [name for name in jf.__all__ if not name.startswith("__")]
    rooms = {"testing": jefficient.testing, "integrations": jefficient.integrations}
    tools = {
        f"jf.{room}.{name}": tool
        for room, module in rooms.items()
        for name, tool in vars(module).items()
        if not name.startswith("_")
    }
    return {
        **{f"jf.{name}": getattr(jf, name) for name in names},
        **{name: tool for name, tool in tools.items() if not inspect.ismodule(tool)},
        "jf.results.Result": Result,
    }


def test_every_public_name_has_one_entry():
    shown = Counter(
        id(pkgutil.resolve_name(entry)) for entry in entries()
    )  # `jefficient.sweep` alone is the module
    assert {
        name: shown[id(thing)] for name, thing in public().items() if shown[id(thing)] != 1
    } == {}

"""The notebook runs as a reader would run it, and a cell that runs again compiles nothing."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"
COUNTER = """
import jax
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
)
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    [sweep] = [cell for cell in code if cell.source.startswith("result = jf.sweep")]
    again = [nbformat.v4.new_code_cell(s) for s in ("before = len(compiled)", sweep.source)]
    last = nbformat.v4.new_code_cell("print(before, len(compiled))")
    at = notebook.cells.index(sweep) + 1
    first = nbformat.v4.new_code_cell(COUNTER)
    notebook.cells = [first, *notebook.cells[:at], *again, last, *notebook.cells[at:]]
    path = tmp_path_factory.mktemp("notebook")
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": path}}).execute()
    return notebook.cells


def outputs(cells, begin, kind):
    [cell] = [x for x in cells if x.source.startswith(begin)][:1]
    return "".join(x["data"][kind] for x in cell.outputs if kind in x.get("data", {}))


def test_what_is_shown_is_html_and_a_picture(cells):
    assert "33" in outputs(cells, "task =", "text/html")
    table = outputs(cells, "result = jf.sweep", "text/html")
    assert table.count("<tr>") > 10
    assert "learning_rate" in table
    assert "95 % interval" in outputs(cells, 'result.optimum("learning_rate")', "text/html")
    assert outputs(cells, "result.plot", "image/png")
    assert "(64, 32)" in outputs(cells, "weights =", "text/plain")


def test_the_progress_is_a_bar_below_the_cell(cells):
    assert '<progress value="' in outputs(cells, "result = jf.sweep", "text/html")
    assert "264/264 trials" in outputs(cells, "result = jf.sweep", "text/html")
    written = [x.text for cell in cells for x in cell.get("outputs", ()) if "name" in x]
    assert not [text for text in written if "Warning" in text or "trials" in text]


def test_a_cell_that_runs_again_compiles_nothing(cells):
    [last] = [x for x in cells if x.source.startswith("print(before")]
    before, after = map(int, last.outputs[0].text.split())
    assert before == after > 0

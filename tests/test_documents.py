"""What README and docs show is run as it stands; what they promise of the project's shape holds."""

import re
import subprocess
import sys
from pathlib import Path

import processes
import pytest

import jefficient as jf
from jefficient import _api

ROOT = Path(__file__).parents[1]
TRAINS_LONG = {"docs/tutorial.md"}
PAGES = ["README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]


def blocks(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE
    )


def pictures(page):
    return set(re.findall(r"\((?:docs/)?images/([^)]+)\)", (ROOT / page).read_text()))


WITH_WORKERS = "docs/executors.md"
LANDING = "docs/index.md"  # shows what the README shows
WITH_MARKS = {"docs/logging.md": [pytest.mark.loggers]}  # what it shows is not in the extra `test`


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=WITH_MARKS.get(page, []))
        for page in PAGES
        if blocks(page, "python") and page not in (WITH_WORKERS, LANDING)
    ],
)
def test_every_python_block_runs(page, tmp_path):
    """In a process of its own, as a reader would paste them: one after another."""
    program = "\n".join(blocks(page, "python"))
    env = processes.OPTIMIZED if page in TRAINS_LONG else None
    done = processes.run("-W", "error", "-c", program, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert pictures(page) <= {
        path.name for path in tmp_path.iterdir()
    }  # what is shown is what the blocks draw


def test_imports_warn_of_nothing():
    """In an interpreter: the processes of the other tests have imported all this already."""
    modules = "jefficient._api, jefficient.sweeps._run, jefficient.testing, jefficient.integrations"
    program = ["-W", "error", "-c", f"import {modules}"]
    done = subprocess.run([sys.executable, *program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_landing_page_shows_the_sweep_of_the_readme():
    [block] = blocks(LANDING, "python")
    assert block == blocks("README.md", "python")[0]
    assert blocks(LANDING, "text") == blocks("README.md", "text")
    assert pictures(LANDING) == pictures("README.md")


def test_a_block_that_starts_workers_runs_as_a_file(tmp_path):
    """The workers import it: without a main guard each would start workers of its own."""
    (block,) = blocks(WITH_WORKERS, "python")
    path = tmp_path / "script.py"
    path.write_text(block)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"learning_rate=0.1: valid_loss .* trials\)$", done.stdout.strip())


def test_pictures_are_small_and_say_what_they_show():
    shown = set()
    for page in PAGES:
        shown |= pictures(page)
        assert all(re.findall(r"!\[([^\]]*)\]\((?:docs/)?images/", (ROOT / page).read_text())), page
    files = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()}
    assert set(files) == shown
    assert max(files.values()) < 80_000


def test_the_gate_calls_the_readme_s_test_command():
    commands = [line for block in blocks("README.md", "bash") for line in block.splitlines()]
    pattern = re.search(r"grep -E '(.*)' README.md", (ROOT / ".ci" / "run").read_text())
    assert pattern
    assert [line for line in commands if re.fullmatch(pattern[1].strip("^$"), line)] == [
        commands[-1]
    ]
    assert len(commands) == 2


def anchors(page):
    """The headings of a page as MkDocs names them, and the names that an API page documents."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+)$", text, flags=re.MULTILINE)
    words = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    named = re.findall(r"^::: ([\w.]+)$|\{ *#([\w.-]+)", text, flags=re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", word) for word in words}.union(*named)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / page).read_text()):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/changelog.md"])
def test_files_that_are_named_exist(page):
    """`_x.py` and `test_x.py` stand for files to write."""
    named = re.findall(r"`((?:tests|jefficient|docs|examples)/[\w/.]+)`", (ROOT / page).read_text())
    assert [x for x in named if not x.endswith("_x.py") and not (ROOT / x).exists()] == []


def test_the_door_is_what_it_says():
    """`__all__` and the homes of the names agree; everything has a docstring."""
    homes = {name for name in vars(_api) if not name.startswith("_")} | set(jf._LATER)
    assert homes == set(jf.__all__) - {"__version__"}
    assert all(getattr(jf, name).__doc__ for name in homes)
    assert jf.__all__ == sorted(jf.__all__)
    assert set(jf.__all__) <= set(dir(jf))
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        getattr(jf, "no_such_name")  # noqa: B009
    loaded = {name for name in vars(jf) if not name.startswith("_")}
    assert loaded <= {*jf.__all__, *jf._ROOMS, "cli"}


def test_importing_for_transforms_alone_is_light():
    heavy = ("xarray", "pandas", "rich", "matplotlib")
    program = f"import sys, jefficient; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_page_is_in_the_navigation_and_in_the_list_for_machines():
    pages = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    navigation = re.findall(r"([\w/]+\.md)\n", (ROOT / "mkdocs.yml").read_text())
    assert sorted(navigation) == sorted(pages)
    listed = re.findall(r"\]\(([^)]+)\)", (ROOT / "docs" / "llms.txt").read_text())
    assert sorted(listed) == sorted(pages)

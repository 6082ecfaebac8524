"""The structure of the package, counted from its source: `python tests/structure.py [PACKAGE]`.

Rooms are the folders of the package, and the folders and files of its sweeps and results. An arrow
is an import of one room by another, however many names it brings; a circle is a set of files that
import each other. What is imported under `TYPE_CHECKING` counts.
"""

import ast
import sys
from collections import Counter
from pathlib import Path

BARE = {"Any", "Tree", "Callable"}


def modules(package):
    """Dotted name to file, of all modules; packages have the name of their folder."""
    named = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imported(name, path, named):
    """The modules that a module imports, doors followed to the file that defines a name."""
    is_package = path.name == "__init__.py"
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = name.split(".")[: len(name.split(".")) - node.level + is_package]
        target = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
        for alias in node.names:
            inner = f"{target}.{alias.name}"
            found = inner if inner in named else target
            if found in named and found != name:
                yield found


def room(name):
    """The room of a module: a folder of the package, or of its sweeps or results."""
    parts = name.split(".")
    is_divided = parts[1:2] and parts[1] in ("sweep", "sweeps", "results")
    return ".".join(parts[1:3] if is_divided else parts[1:2])


def circles(arrows):
    """Sets of modules that reach each other."""
    nodes = set(arrows) | {target for targets in arrows.values() for target in targets}

    def reached(start):
        seen, waiting = set(), [start]
        while waiting:
            for target in arrows.get(waiting.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return seen

    reach = {node: reached(node) for node in nodes}
    return {
        frozenset(other for other in reach[node] if node in reach[other])
        for node in nodes
        if node in reach[node]
    }


def annotations(tree):
    """Every annotation of an argument, a result, a variable or a field."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield from (x.annotation for x in [*arguments, node.args.vararg, node.args.kwarg] if x)
            yield node.returns
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation


def main(package):
    named = modules(package)
    # A door re-exports its files; only what crosses a wall, or goes from file to file, is an arrow.
    files = {name: path for name, path in named.items() if path.name != "__init__.py"}
    arrows = {name: set(imported(name, path, named)) for name, path in files.items()}
    lines = {name: len(path.read_text().splitlines()) for name, path in named.items()}
    total = sum(lines.values())
    print(f"{len(named)} modules, {total:,} lines")

    of_sweeps = {n: t for n, t in arrows.items() if n.split(".")[1].startswith("sweep")}
    to_sweeps = [
        (n, t) for n, ts in of_sweeps.items() for t in ts if t.split(".")[1] == n.split(".")[1]
    ]
    between = {(room(n), room(t)) for n, t in to_sweeps if room(n) != room(t)}
    print(
        f"sweeps: {len(of_sweeps)} files, {len(to_sweeps)} imports of each other's files and doors"
    )
    print(f"sweeps: {len(between)} arrows between {len({room(n) for n in of_sweeps})} rooms")
    found = circles(arrows)
    print(f"{len(found)} circles", *(sorted(circle) for circle in found), sep="\n  ")

    share = Counter()
    for name, count in lines.items():
        share[room(name)] += count
    for name, count in share.most_common(8):
        print(f"{count / total:6.1%}  {name}")

    every = [a for path in named.values() for a in annotations(ast.parse(path.read_text())) if a]
    bare = sum(isinstance(a, ast.Name) and a.id in BARE for a in every)
    inside = sum(any(isinstance(x, ast.Name) and x.id in BARE for x in ast.walk(a)) for a in every)
    print(f"annotations: {len(every)}, bare Any, Tree or Callable {bare / len(every):.1%}", end="")
    print(f", with one of them inside {inside / len(every):.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "jefficient"))

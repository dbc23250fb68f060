"""Which package may import which: what lies below knows nothing of what lies above, and there is no ring."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name."""
    found = {}
    for package in ("edgesea", "firmware_export"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, known: dict[str, Path], *, lazy: bool) -> set[str]:
    """The modules of `known` that a file imports; with `lazy` also those that its functions import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if lazy else tree.body
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {f"{node.module}.{each.name}" for each in node.names} | {node.module}
    return {name for name in names if name in known or name.split(".")[0] in ("edgesea", "firmware_export")}


def rings(edges: dict[str, set[str]]) -> list[set[str]]:
    """The groups of nodes that reach each other (Tarjan's strongly connected components, of two or more)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            group = set()
            while node not in group:
                group.add(stack.pop())
            if len(group) > 1:
                found.append(group)

    for node in sorted(edges):
        if node not in order:
            visit(node)
    return found


def package(module: str) -> str:
    """The room that a module belongs to: `edgesea.devices`, `edgesea.audio`, `firmware_export`."""
    return ".".join(module.split(".")[:2]) if module.startswith("edgesea.") else module.split(".")[0]


def test_rings_are_found():
    assert rings({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [{"a", "b", "c"}]
    assert rings({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("name", sorted(name for name in modules() if name.startswith("firmware_export")))
def test_what_becomes_c_knows_nothing_of_the_workbench(name):
    known = modules()
    above = {each for each in imported(known[name], known, lazy=True) if each.split(".")[0] == "edgesea"}
    assert above == set()


def test_the_c_compiler_loads_nothing_of_the_workbench():
    """The same, asked of Python: whatever the imports are written like."""
    names = [name for name in modules() if name.startswith("firmware_export")]
    program = f"import sys\nfor name in {names!r}: __import__(name)\n"
    program += "print(*[name for name in sys.modules if name.split('.')[0] in ('edgesea', 'tensorflow')])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []


def test_modules_of_the_c_compiler_are_not_in_a_ring():
    known = modules()
    edges = {}
    for name, path in known.items():
        if name.startswith("firmware_export."):
            targets = imported(path, known, lazy=True)
            # A package's own members are found by it; what they import of each other is what counts.
            edges[name] = {each for each in targets if each in known and each != name}
    assert rings(edges) == []


def test_packages_are_not_in_a_ring():
    known = modules()
    edges: dict[str, set[str]] = {}
    for name, path in known.items():
        # The package itself only holds what the library's users see.
        if name == "edgesea":
            continue
        targets = {package(each) for each in imported(path, known, lazy=True)} - {"edgesea"}
        edges.setdefault(package(name), set()).update(targets - {package(name)})
    assert rings(edges) == []


def test_what_is_measured_knows_no_stage():
    """Training, export, evaluation and devices measure with `measures`, so it lies below them all."""
    known = modules()
    used = set()
    for name, path in known.items():
        if package(name) == "edgesea.measures":
            used |= {package(each) for each in imported(path, known, lazy=True)}
    assert used - {"edgesea.measures"} <= {"edgesea.errors", "firmware_export"}


def test_import_edgesea_loads_next_to_nothing():
    program = "import sys, edgesea; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert not {"numpy", "tensorflow", "keras", "pydantic", "click", "rich"} & set(done.stdout.split())

"""The house's rules: imports go down, nothing goes round, names are concepts."""

import ast
import graphlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "mst_jax"
FLOORS = (
    {"structs", "rules", "settings", "whole_batch", "whole_file", "geometry"},
    {"clicks", "layers", "losses", "data"},
    {"backbones", "tokens", "necks", "decoders", "interaction", "checkpoints"},
    {"models"},
    {"training", "evaluation", "inference"},
    {"demo", "report"},
    {"train", "evaluate", "predict", "convert", "prepare", "serve"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in LIBRARY.rglob("*.py") if path.name != "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = {name_of(path) for path in FILES}


def imports_of(path: Path) -> set[str]:
    """Full names that a file imports: modules, and what it takes from them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            names.add(node.module)
    return names


def library_imports(path: Path) -> set[str]:
    return imports_of(path) & MODULES


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_or_stay_in_the_room(path):
    room = name_of(path).split(".")[1]
    for name in library_imports(path):
        other = name.split(".")[1]
        assert other == room or FLOOR_OF[other] < FLOOR_OF[room], name


def test_no_file_imports_itself_by_a_detour():
    graph = {name_of(path): library_imports(path) for path in FILES}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_has_a_concept_for_a_name_and_a_test(path):
    banned = {"utils", "helpers", "common", "misc", "base"}
    assert not banned & set(path.relative_to(LIBRARY).with_suffix("").parts)
    inside = path.relative_to(LIBRARY)
    assert (ROOT / "tests" / inside.parent / f"test_{inside.name}").exists()


@pytest.mark.parametrize("path", sorted((LIBRARY / "data").rglob("*.py")), ids=str)
def test_data_need_neither_jax_nor_tensorflow(path):
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert not roots & {"jax", "flax", "tensorflow", "optax"}


def test_losses_need_nothing_but_jax():
    for path in (LIBRARY / "losses").glob("*.py"):
        roots = {name.split(".")[0] for name in imports_of(path)}
        assert roots - sys.stdlib_module_names <= {"jax", "jaxtyping", "mst_jax"}, path

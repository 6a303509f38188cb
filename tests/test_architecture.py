"""Rules of the layout: imports go to lower layers, folders are small, names are unique."""

import ast
import collections
import functools
import graphlib
import sys
from pathlib import Path

import pytest

from tests.helpers.heavy_files import HEAVY_FILES

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "mst_jax"
LAYERS = (
    {"atomic_io", "name_choices"},
    {
        *("structs", "path_rules", "config_options", "collectives", "command_line"),
        *("compilation_cache", "compute_dtype", "extras", "safe_pickle", "geometry"),
    },
    {"clicks", "layers", "losses", "data"},
    {"backbones", "tokens", "necks", "decoders", "interaction", "checkpoints"},
    {"models"},
    {"training", "evaluation", "inference"},
    {"reporting", "annotation", "notebook", "exporting", "evaluation_flags"},
    # The dispatcher `__main__` imports a command when it is called, by name.
    {
        *("train", "evaluate", "predict", "convert", "export", "prepare", "serve"),
        "__main__",
    },
)
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in LIBRARY.rglob("*.py") if path.name != "__init__.py")
MAX_FILES = 13
# The modules of layers 0 and 1 and the commands; one file for each dataset.
MANY_FILES_ALLOWED = {".", "data/builders"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = {module_name(path) for path in FILES}


@functools.cache
def imported_names(path: Path) -> frozenset[str]:
    """Return the full names that a file imports: modules, and names from them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            names.add(node.module)
    return frozenset(names)


def library_imports(path: Path) -> frozenset[str]:
    return imported_names(path) & MODULES


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_to_lower_layers_or_the_same_folder(path):
    folder = module_name(path).split(".")[1]
    for name in library_imports(path):
        other = name.split(".")[1]
        assert other == folder or LAYER_OF[other] < LAYER_OF[folder], name


def test_imports_have_no_cycle():
    graph = {module_name(path): library_imports(path) for path in FILES}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_file_is_named_after_a_concept_and_has_a_test(path):
    banned = {"utils", "helpers", "common", "misc", "base"}
    relative = path.relative_to(LIBRARY)
    assert not banned & set(relative.with_suffix("").parts)
    assert (ROOT / "tests" / relative.parent / f"test_{relative.name}").exists()


def test_folders_are_small():
    num_files = collections.Counter(
        path.parent.relative_to(LIBRARY).as_posix() for path in FILES
    )
    assert not {
        folder: num
        for folder, num in num_files.items()
        if num > MAX_FILES and folder not in MANY_FILES_ALLOWED
    }


def test_file_names_are_unique():
    names = collections.Counter(path.name for path in FILES)
    # A command and a folder or file of another purpose may not share a name either.
    names.update(
        f"{path.name}.py"
        for path in LIBRARY.iterdir()
        if path.is_dir() and (path / "__init__.py").exists()
    )
    assert not [name for name, num in names.items() if num > 1]


def test_public_classes_have_unique_names():
    names = collections.Counter(
        node.name
        for path in FILES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert not [name for name, num in names.items() if num > 1]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name
)
def test_no_test_file_imports_another(path):
    modules = {name for name in imported_names(path) if name.startswith("tests.")}
    assert not [
        name
        for name in modules
        if name.split(".")[-1].startswith("test_")
        or not name.startswith("tests.helpers")
    ]


def test_make_test_fast_runs_tests_of_every_folder():
    tests = ROOT / "tests"
    heavy = {tests / name for name in HEAVY_FILES}
    assert all(path.exists() for path in heavy)
    paths = {
        path
        for path in tests.rglob("test_*.py")
        if "pytestmark = pytest.mark.browser" not in path.read_text()
    }
    assert {path.parent for path in paths - heavy} == {path.parent for path in paths}


@pytest.mark.parametrize("path", sorted((LIBRARY / "data").rglob("*.py")), ids=str)
def test_data_needs_neither_jax_nor_tensorflow(path):
    packages = {name.split(".")[0] for name in imported_names(path)}
    assert not packages & {"jax", "flax", "tensorflow", "optax"}


def test_losses_need_only_jax():
    for path in (LIBRARY / "losses").glob("*.py"):
        packages = {name.split(".")[0] for name in imported_names(path)}
        assert packages - sys.stdlib_module_names <= {"jax", "jaxtyping", "mst_jax"}, (
            path
        )

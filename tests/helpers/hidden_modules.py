"""Python processes in which only some of the project's dependencies can be imported."""

import functools
import os
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]

# Python runs `sitecustomize` before anything else.
_HIDE_MODULES = """
import sys
class Hider:
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hider())
"""


def requirements_of(*extras: str) -> list[Requirement]:
    """Return the direct requirements of the project and of some of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    requirements = [Requirement(line) for line in lines]
    # An extra may include others: `mst_jax[data]`.
    included = [item.extras for item in requirements if item.name == "mst_jax"]
    others = [item for item in requirements if item.name != "mst_jax"]
    return others + [item for names in included for item in requirements_of(*names)]


def installed_closure(requirements: list[Requirement]) -> set[str]:
    """Return the names of the requirements and of all that they require."""
    closure, waiting = set(), list(requirements)
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in closure:
            continue
        closure.add(key)
        extras = requirement.extras or {""}
        try:
            lines = metadata.requires(requirement.name) or ()
        except metadata.PackageNotFoundError:  # of another system
            continue
        for child in map(Requirement, lines):
            marker = child.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in extras):
                waiting.append(child)
    return {name for name, _ in closure}


@functools.cache
def _modules_without(*extras: str) -> list[str]:
    """Return the installed modules that neither the base nor these extras need."""
    present = installed_closure(requirements_of(*extras))
    all_names = installed_closure(requirements_of("all"))
    # Reads the metadata of every installed package, which takes a second.
    hidden = {
        module
        for module, names in metadata.packages_distributions().items()
        if all(canonicalize_name(name) in all_names - present for name in names)
    }
    assert "jax" not in hidden
    return sorted(hidden)


def environment_with(folder: Path, *extras: str) -> dict[str, str]:
    """Return the environment of a process that has the base and these extras only.

    Args:
        folder: Empty folder for the file that hides the other modules.
        *extras: Names in `pyproject.toml`.
    """
    text = _HIDE_MODULES.format(names=_modules_without(*extras))
    (folder / "sitecustomize.py").write_text(text)
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}

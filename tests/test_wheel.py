"""The wheel has every file of the package, and building it leaves the checkout as it was.

pip gets the build backend from the package index, so the test needs the network.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def list_files(folder):
    """Return the paths of all files, relative to the folder."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if "__pycache__" not in path.parts}


@pytest.mark.slow
def test_wheel_has_every_file_and_the_checkout_stays_clean(tmp_path):
    checkout, wheels = tmp_path / "checkout", tmp_path / "wheels"
    checkout.mkdir()
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "mst_jax", checkout / "mst_jax", ignore=skipped)
    files_before = list_files(checkout)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", wheels, "."], cwd=checkout, check=True)
    assert list_files(checkout) == files_before
    (wheel,) = wheels.glob("mst_jax-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if "/" in name}
    package_files = {name for name in files_before if name.startswith("mst_jax/")}
    assert {name for name in packed if ".dist-info/" not in name} == package_files

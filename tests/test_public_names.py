"""What `import mst_jax` gives, and what it costs."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mst_jax

PROJECT_FILE = Path(__file__).parents[1] / "pyproject.toml"


def test_the_public_names_are_there():
    for name in ("load", "build", "Clicks", "Predictor", "losses", "evaluation"):
        assert name in dir(mst_jax)
        assert getattr(mst_jax, name) is not None
    assert callable(mst_jax.evaluation.simulate)
    with pytest.raises(AttributeError, match="no 'sam'; it has"):
        _ = mst_jax.sam


def test_version_is_that_of_the_project():
    project = tomllib.loads(PROJECT_FILE.read_text())["project"]
    assert mst_jax.__version__ == project["version"]
    assert "__version__" in dir(mst_jax)


@pytest.mark.parametrize(
    ("use", "absent"),
    [
        ("", ["jax", "numpy", "flax"]),
        ("mst_jax.Clicks", ["flax", "optax", "orbax", "tensorflow_datasets", "cv2"]),
        ("mst_jax.losses", ["flax", "optax", "orbax", "tensorflow_datasets", "cv2"]),
    ],
)
def test_light_parts_stay_light(use, absent):
    code = (
        f"import sys, mst_jax\n{use}\nprint([m for m in {absent} if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"

"""`make mst-small`, which trains the bundled model, from the first stage to the file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import mst_jax
from mst_jax.checkpoints import store
from tests.helpers.image_files import write_image
from tests.helpers.pretrained_vit_file import write_vit_file

ROOT = Path(__file__).parents[1]
SIDE = 64

# Options of each stage that replace its own; a stage has two steps of two examples.
TINY_FLAGS = " ".join(
    f"--config.{key}={value}"
    for key, value in {
        "steps": 2,
        "batch": 2,
        "crop": SIDE,
        "optimizer.warmup": 0,
        "summaries.tensorboard": False,
    }.items()
)


def write_disks(folder: Path) -> Path:
    """Write a folder dataset of 20 images, each with one disk."""
    rng = np.random.default_rng(0)
    for index in range(20):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        center = [int(value) for value in rng.integers(20, 44, 2)]
        cv2.circle(mask, center, int(rng.integers(10, 18)), 1, -1)
        image = rng.integers(0, 80, (SIDE, SIDE, 3)) + 150 * mask[..., None]
        write_image(folder / "images" / f"p{index}.png", image.astype(np.uint8))
        write_image(folder / "masks" / f"p{index}_0.png", mask)
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a copy of what `make mst-small` uses, with this Python's environment."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("mst_jax", "configs", "tools"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def run_make(checkout: Path) -> str:
    """Run `make mst-small` on the tiny inputs of the checkout; return its output."""
    words = [
        *("make", "mst-small", "--old-file=.venv/installed"),
        *(f"PYTHON={sys.executable}", "OBJECTS=disks", "BACKBONE=vit.npz"),
        f"STAGE_FLAGS={TINY_FLAGS}",
    ]
    # The numbers of this model do not matter, only that it is trained.
    environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    done = subprocess.run(
        words, cwd=checkout, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_every_stage_of_the_recipe_runs(checkout):
    write_disks(checkout / "disks")
    small = dict(crop=SIDE, width=384, depth=12, num_heads=6)
    write_vit_file(checkout / "vit.npz", **small)
    output = run_make(checkout)

    # Each stage ran to its end.
    stages = [path.name for path in (checkout / "runs").iterdir()]
    assert len(stages) == output.count(" -m mst_jax.train ") > 5
    for stage in stages:
        assert max(store.list_steps(checkout / "runs" / stage)) == 2, stage

    # The file is a model that predicts.
    model = mst_jax.load(checkout / "models" / "mst_small.safetensors")
    predictor = mst_jax.Predictor(model)
    image = cv2.imread(str(checkout / "disks" / "images" / "p0.png"))
    predictor.set_image(image, image_format="BGR")
    predictor.click(SIDE // 2, SIDE // 2)
    assert predictor.prob.shape == (SIDE, SIDE) and np.isfinite(predictor.prob).all()

    # Nothing is trained again.
    assert " -m mst_jax.train " not in run_make(checkout)

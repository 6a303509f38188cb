"""The losses are for other JAX projects: they need jax and jaxtyping, nothing else."""

import subprocess
import sys

CODE = """
import importlib.abc, sys
import jax.numpy as jnp, jaxtyping

here = {name.split(".")[0] for name in sys.modules} | sys.stdlib_module_names

class NothingElse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in here | {"mst_jax"}:
            raise ModuleNotFoundError(name)

assert not {"flax", "optax", "tensorflow", "cv2", "einops"} & here
sys.meta_path.insert(0, NothingElse())
from mst_jax.losses import adaptive_focal_loss

loss = adaptive_focal_loss(jnp.array([0.5, -3.0]), jnp.array([1, 0]))
assert loss.shape == (2,) and (loss > 0).all()
"""


def test_nothing_but_jax_is_needed():
    code = [sys.executable, "-c", CODE]
    result = subprocess.run(code, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

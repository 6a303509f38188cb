"""The losses work in other JAX projects: they need jax and jaxtyping only."""

import subprocess
import sys

PROGRAM = """
import importlib.abc, sys
import jax, jax.numpy as jnp, jaxtyping

allowed = {name.split(".")[0] for name in sys.modules} | sys.stdlib_module_names

class RejectOtherImports(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed | {"mst_jax"}:
            raise ModuleNotFoundError(name)

assert not {"flax", "optax", "tensorflow", "cv2", "einops"} & allowed
sys.meta_path.insert(0, RejectOtherImports())
from mst_jax import losses

# Imports inside the functions count too, so every loss is computed and differentiated.
logits, labels = jnp.array([0.5, -3.0, 1.0]), jnp.array([1, 0, 255])
for name in losses.__all__:
    loss_fn = getattr(losses, name)
    total = lambda x: loss_fn(x, labels, where=labels != 255).sum()
    value, gradient = jax.jit(jax.value_and_grad(total))(logits)
    assert value > 0 and (gradient[:2] != 0).all() and gradient[2] == 0, name
"""


def test_losses_import_nothing_but_jax_and_jaxtyping():
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

"""Compare the losses of images sharded by rows over four devices with whole images.

python -m tests.helpers.sharded_losses prints one JSON line: for each loss that reduces
over pixels the largest relative difference of its values and of its gradient, taken
outside and inside `jax.shard_map`, and the difference of the values without `axis_name`.
"""

import inspect
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from mst_jax import losses

ROWS = PartitionSpec(None, "rows")
WHOLE = PartitionSpec()


def example_arrays():
    """Return logits, labels and where, [2 8 6] each; the shards differ."""
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(2, 8, 6)) + np.arange(8)[:, None] - 4
    labels = rng.random((2, 8, 6)) < np.linspace(0.1, 0.9, 8)[:, None]
    where = rng.random((2, 8, 6)) < 0.8
    return tuple(map(jnp.asarray, (np.float32(logits), labels, where)))


def mean_loss(loss_fn, logits, labels, where, axis_name=None):
    """Return the mean over the pixels that count, then over the examples."""
    values = loss_fn(
        logits, labels, where=where, axis=(-2, -1), **({"axis_name": axis_name})
    )
    if values.ndim == 1:
        return values.mean()
    total, count = values.sum((-2, -1)), where.sum((-2, -1))
    if axis_name is not None:
        # One by one: jax 0.7.2 cannot differentiate the sum of a pair with integers.
        total, count = jax.lax.psum(total, axis_name), jax.lax.psum(count, axis_name)
    return (total / count).mean()


def relative_difference(found, expected) -> float:
    """Return the largest difference, relative to the largest expected value."""
    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def compare(loss_fn, mesh) -> dict[str, float]:
    """Return how the sharded loss differs from that of whole images."""
    arrays = example_arrays()
    sharded = partial(jax.shard_map, mesh=mesh, in_specs=(ROWS,) * 3)
    whole_loss = partial(mean_loss, loss_fn)
    value, gradient = jax.jit(jax.value_and_grad(whole_loss))(*arrays)
    row_loss = partial(whole_loss, axis_name="rows")
    value_outside, gradient_outside = jax.jit(
        jax.value_and_grad(sharded(row_loss, out_specs=WHOLE))
    )(*arrays)
    value_inside, gradient_inside = jax.jit(
        sharded(jax.value_and_grad(row_loss), out_specs=(WHOLE, ROWS))
    )(*arrays)
    separate = jax.jit(
        sharded(lambda *x: jax.lax.pmean(whole_loss(*x), "rows"), out_specs=WHOLE)
    )(*arrays)
    return {
        "value": relative_difference(value_outside, value),
        "value inside": relative_difference(value_inside, value),
        "gradient": relative_difference(gradient_outside, gradient),
        "gradient inside": relative_difference(gradient_inside, gradient),
        "without axis_name": relative_difference(separate, value),
    }


def main() -> None:
    """Print the differences of each loss that takes `axis_name`."""
    mesh = Mesh(jax.devices(), ("rows",))
    differences = {}
    for name in losses.__all__:
        loss_fn = getattr(losses, name)
        if "axis_name" in inspect.signature(loss_fn).parameters:
            differences[name] = compare(loss_fn, mesh)
    print(json.dumps(differences))


if __name__ == "__main__":
    main()

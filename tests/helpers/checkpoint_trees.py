"""Data iterators and trees of arrays to save in checkpoints."""

import grain
import jax.numpy as jnp


def shuffled_batches():
    """Return a Grain iterator over batches of four numbers, the same at each call."""
    dataset = grain.MapDataset.range(100).seed(3).shuffle().repeat().batch(4)
    return iter(dataset.to_iter_dataset())


def small_trees(value):
    """Return parameters and a training state whose values depend on `value`."""
    params = {"a": {"kernel": jnp.full((2, 3), value)}, "b": jnp.arange(3.0) + value}
    return params, {"optimizer": (jnp.int32(value), {"mean": -params["b"]})}

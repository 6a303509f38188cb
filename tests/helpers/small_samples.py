"""Make target samples of a few pixels for the tests of augmentation."""

import numpy as np
from hypothesis import strategies as st

from mst_jax.data.example import TargetSample

seeds = st.integers(0, 2**32 - 1)


def make_sample(target, image=None):
    """Return a valid sample; without an image, every pixel has its own value."""
    target = np.array(target, bool)
    if image is None:
        image = np.repeat(np.arange(target.size, dtype=np.uint8), 3)
        image = image.reshape(*target.shape, 3)
    return TargetSample(image, target, np.ones_like(target), ~target)


@st.composite
def target_samples(draw):
    """Draw a sample of random size with a target of at least one pixel."""
    rng = np.random.default_rng(draw(seeds))
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    target = rng.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
    target[tuple(rng.integers(shape))] = True
    valid = (rng.random(shape) < 0.8) | target
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    others = (rng.random(shape) < 0.5) & valid & ~target
    return TargetSample(image, target, valid, others)

"""Reports of evaluations and of training runs: plots, images, pages and logs."""

from mst_jax.extras import needs_extra

# Most modules of this folder draw with Matplotlib or write for TensorBoard.
with needs_extra("train"):
    import matplotlib  # noqa: F401
    import tensorboardX  # noqa: F401

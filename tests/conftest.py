"""Before any test: broadcasting is explicit, shapes and kinds are checked."""

import os
import signal
from pathlib import Path

# Most of the tests' time is compiling: the machine code need not be good. JAX reads this
# when it is imported.
os.environ["XLA_FLAGS"] = " ".join(
    ("--xla_backend_optimization_level=0", os.environ.get("XLA_FLAGS", ""))
)

import hypothesis
import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

# Programs are compiled once for all runs of the tests.
CACHE = Path(__file__).parents[1] / ".jax_cache"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))

jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
jax.config.update("jax_numpy_rank_promotion", "raise")

# A shell's background jobs, and all that they start, ignore Ctrl-C; tests of it do not.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test is timed: a busy machine, or a first call that compiles, is no mistake.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# The rooms, not the structs: a struct in the middle of a transformation holds tracers,
# axis numbers or nothing at all.
ROOMS = (
    *("geometry", "clicks", "layers", "losses", "data"),
    *("backbones", "tokens", "necks", "decoders", "interaction", "checkpoints"),
    *("models", "training", "evaluation", "inference", "report", "demo"),
)
install_import_hook([f"mst_jax.{room}" for room in ROOMS], "beartype.beartype")


@pytest.fixture(autouse=True)
def signals():
    """Ctrl-C and SIGTERM are as usual, though a command ran before that listens to them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture
def rng():
    """A NumPy generator that draws the same in every run."""
    return np.random.default_rng(0)

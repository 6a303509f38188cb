"""Setup of all tests: no implicit rank promotion, shapes and dtypes are checked."""

import gc
import os
import signal
from pathlib import Path

# Most of the tests' time is compilation, so the compiler does not optimize and generates
# LLVM code directly, which halves its CPU time. JAX reads the variable when it is
# imported; flags that are already in it take precedence. Both workers of `make test` keep
# a core busy, so splitting a module for several compiler threads only costs time.
os.environ["XLA_FLAGS"] = " ".join(
    (
        "--xla_backend_optimization_level=0",
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters,"
        "xla_cpu_disable_loop_unrolling,xla_cpu_disable_slp_vectorizer",
        os.environ.get("XLA_FLAGS", ""),
    )
)

import hypothesis
import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

from tests.helpers.heavy_files import HEAVY_FILES

# Compiled programs are cached for all runs of the tests.
CACHE = Path(__file__).parents[1] / ".jax_cache"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))

jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
jax.config.update("jax_numpy_rank_promotion", "raise")

# Tracing makes millions of objects that stay in JAX's caches: fewer collections save
# about a twentieth of the CPU time.
gc.set_threshold(100_000, 20, 100)

# Background jobs of a shell, and their children, ignore Ctrl-C; the tests need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests have no deadline: a busy machine or a first call that compiles is not a failure.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# The folders, not structs.py: inside a transformation a dataclass holds tracers, axis
# numbers or nothing at all.
CHECKED_FOLDERS = (
    *("geometry", "clicks", "layers", "losses", "data"),
    *("backbones", "tokens", "necks", "decoders", "interaction", "checkpoints"),
    *("models", "training", "evaluation", "inference"),
    *("reporting", "annotation", "notebook"),
)
install_import_hook(
    [f"mst_jax.{folder}" for folder in CHECKED_FOLDERS], "beartype.beartype"
)


HEAVY_PATHS = {Path(__file__).parent / name for name in HEAVY_FILES}


def pytest_ignore_collect(collection_path, config):
    """Do not import the heavy files where their tests are left out."""
    leaves_out_heavy = "not heavy" in config.option.markexpr
    return True if leaves_out_heavy and collection_path in HEAVY_PATHS else None


def pytest_collection_modifyitems(items):
    """Mark the tests of the heavy files, which `make test-fast` leaves out.

    They come first: with `--no-loadscope-reorder` the last files of the workers are
    short, and no worker waits for another one.
    """
    for item in items:
        if item.path in HEAVY_PATHS:
            item.add_marker(pytest.mark.heavy)
    items.sort(key=lambda item: item.path not in HEAVY_PATHS)


@pytest.fixture(autouse=True, scope="session")
def models_in_float32():
    """Let models compute in float32, also on a CPU with fast bfloat16 products."""
    # Imported here: the hook must be installed first.
    from mst_jax import compute_dtype

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compute_dtype, "CPU_INFO_FILE", Path(os.devnull))
        yield


@pytest.fixture(autouse=True)
def default_signals():
    """Restore the default handlers after tests of commands that install their own."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture
def rng():
    """Return a NumPy generator with a fixed seed."""
    return np.random.default_rng(0)

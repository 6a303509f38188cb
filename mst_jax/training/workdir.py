"""A run's own folder: nobody else's, in order, and of this run."""

import contextlib
import sys
from collections.abc import Iterator, Mapping

from ml_collections import ConfigDict
from tqdm import tqdm

from mst_jax import config_options
from mst_jax.atomic_io import Place
from mst_jax.checkpoints import store
from mst_jax.checkpoints.damage import set_damaged_aside
from mst_jax.checkpoints.lock import only_run
from mst_jax.training import distributed

# What may change at a break without changing what is learned after it.
FREE = (
    *("start", "fresh", "log_every", "checkpoint_every", "num_kept", "evaluation"),
    *("parallel", "validation", "watching", "data.data_dir", "data.num_workers"),
)


@contextlib.contextmanager
def taken(workdir: Place, config: ConfigDict) -> Iterator[None]:
    """Takes a workdir for this run; says what is damaged there or other than before.

    Raises:
        ValueError: another run is at work there, or all its checkpoints are damaged.
        OSError: it cannot be written to.
    """
    if distributed.is_first():
        with only_run(workdir):
            for sentence in [*set_damaged_aside(workdir), *changes(workdir, config)]:
                tqdm.write(sentence, sys.stderr)
            distributed.wait("the workdir is in order")
            yield
    else:
        distributed.wait("the workdir is in order")
        yield


def check_same_model(workdir: Place, config: ConfigDict) -> None:
    """Raises ValueError if a run of another model lives in `workdir`."""
    if not (workdir / store.CONFIG).exists():
        return
    before, now = store.read_config(workdir).get("model"), config.model.to_dict()
    if before != config_options.as_json(now):
        raise ValueError(
            f"{workdir} holds a run of the model {before}, the config says {now}; use "
            "the config of that run or another --workdir"
        )


def changes(workdir: Place, config: ConfigDict) -> list[str]:
    """Says what of the config is other than when the run in `workdir` was at work.

    Returns:
        One sentence; none if a run that goes on is the run that was never broken.
    """
    if not store.steps_of(workdir):
        return []
    before = _flat(store.read_config(workdir))
    now = _flat(config_options.as_json(config.to_dict()))
    others = [
        f"config.{key} was {before.get(key)!r} and is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
        and not any(f"{key}.".startswith(f"{free}.") for free in FREE)
    ]
    if not others:
        return []
    return [
        f"{', '.join(others)}: the run in {workdir} goes on, but not as it would have "
        "without the change"
    ]


def _flat(config: Mapping, path: str = "") -> dict[str, object]:
    """Names like `optimizer.clip_norm` and their values."""
    flat = {}
    for key, value in config.items():
        inside = isinstance(value, Mapping)
        flat |= _flat(value, f"{path}{key}.") if inside else {f"{path}{key}": value}
    return flat

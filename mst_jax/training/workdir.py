"""The workdir of a run: locked, free of damaged checkpoints, and of the same config."""

import contextlib
import fcntl
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict
from tqdm import tqdm

from mst_jax.atomic_io import PathLike
from mst_jax.checkpoints import model_folder, store
from mst_jax.checkpoints.integrity import quarantine_damaged
from mst_jax.config_options import as_json
from mst_jax.training import distributed

LOCK_FILE = ".lock"

# Keys that may change when a run resumes without changing what it learns.
HARMLESS_KEYS = (
    "init_from",
    "reinit",
    "log_every",
    "checkpoint_every",
    "keep_checkpoints",
    "zoom",
    "sharding",
    "validation",
    "summaries",
    "data.data_dir",
    "data.num_workers",
)


@contextlib.contextmanager
def claim_workdir(workdir: PathLike, config: ConfigDict) -> Iterator[None]:
    """Claim a workdir for this run; report damaged checkpoints and changed keys.

    Args:
        workdir: Workdir of the run, created if it is missing.
        config: Config of this run.

    Raises:
        ValueError: Another run is at work there, or all its checkpoints are damaged.
        OSError: It cannot be written to.
    """
    # The main process works while the others wait: one lock, one report.
    barrier_name = "the workdir is in order"
    if not distributed.is_main_process():
        distributed.sync_processes(barrier_name)
        yield
        return
    with lock_workdir(workdir):
        damage_messages = quarantine_damaged(store.checkpoint_folders(workdir))
        for message in [*damage_messages, *describe_config_changes(workdir, config)]:
            tqdm.write(message, sys.stderr)
        distributed.sync_processes(barrier_name)
        yield


@contextlib.contextmanager
def lock_workdir(workdir: PathLike) -> Iterator[None]:
    """Keep other runs out of a workdir.

    The lock ends with the process, however it ends; an empty file stays. File systems
    without locks, such as buckets, keep no run out.

    Args:
        workdir: Workdir of the run, created if it is missing.

    Raises:
        ValueError: Another run is at work there.
        OSError: It cannot be written to.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    # A bucket has neither folders to create nor locks.
    if "://" in str(workdir):
        yield
        return
    with open(workdir / LOCK_FILE, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"another training is at work in {workdir}; wait for its end, stop it, "
                "or choose another --workdir"
            ) from None
        except OSError:
            pass  # some cluster file systems have no locks
        yield


def check_same_model(workdir: PathLike, config: ConfigDict) -> None:
    """Check that a workdir holds no run of another model.

    Args:
        workdir: Workdir of the run; it need not exist.
        config: Config of this run.

    Raises:
        ValueError: The config in the workdir describes another model.
    """
    if not (workdir / model_folder.CONFIG_FILE).exists():
        return
    old_model = model_folder.read_config_json(workdir).get("model")
    # Compared as JSON: a config file has lists where a config has tuples.
    new_model = config.to_dict()["model"]
    if old_model != as_json(new_model):
        raise ValueError(
            f"{workdir} holds a run of the model {old_model}, the config describes "
            f"{new_model}; use the config of that run or another --workdir"
        )


def describe_config_changes(workdir: PathLike, config: ConfigDict) -> list[str]:
    """Describe the changes of a config since the run in a workdir was interrupted.

    Args:
        workdir: Workdir of the run; it need not exist.
        config: Config of this run.

    Returns:
        One sentence; none if the resumed run is the same as an uninterrupted one, or if
        there is nothing to resume.
    """
    if not store.list_steps(workdir):
        return []
    old_values = _flatten_config(model_folder.read_config_json(workdir))
    new_values = _flatten_config(as_json(config.to_dict()))
    key_changes = [
        f"config.{key} was {old_values.get(key)!r} and is {new_values.get(key)!r}"
        for key in sorted(old_values.keys() | new_values.keys())
        if old_values.get(key) != new_values.get(key) and not _is_harmless(key)
    ]
    if not key_changes:
        return []
    return [
        f"{', '.join(key_changes)}: the run in {workdir} resumes, but not as it would "
        "have without the change"
    ]


def _is_harmless(key: str) -> bool:
    """Return whether a key, or the block that it is in, is one of `HARMLESS_KEYS`."""
    return any(
        f"{key}.".startswith(f"{harmless_key}.") for harmless_key in HARMLESS_KEYS
    )


def _flatten_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a nested config by names such as `optimizer.clip_norm`."""
    flat_values = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat_values |= _flatten_config(value, f"{prefix}{key}.")
        else:
            flat_values[f"{prefix}{key}"] = value
    return flat_values

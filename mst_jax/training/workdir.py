"""The workdir of a run: locked, free of damaged checkpoints, and of the same config."""

import contextlib
import fcntl
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict
from tqdm import tqdm

from mst_jax.atomic_io import PathLike
from mst_jax.checkpoints import model_folder, store
from mst_jax.checkpoints.integrity import quarantine_damaged
from mst_jax.config_options import as_json
from mst_jax.training import distributed
from mst_jax.training.startup.used_devices import describe_device_changes

LOCK_FILE = ".lock"

# Keys of the model that may change when a run resumes: its parameters stay the same.
CHANGEABLE_MODEL_KEYS = ("dtype", "remat", "scan", "dropout")

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
    "model.remat",
    "model.scan",
)

# Keys that determine which arrays the optimizer and the moving average have.
STATE_KEYS = ("optimizer", "ema_decay")


@contextlib.contextmanager
def claim_workdir(workdir: PathLike, config: ConfigDict) -> Iterator[None]:
    """Claim a workdir for this run; report damaged checkpoints and changed keys.

    Args:
        workdir: Workdir of the run, created if it is missing.
        config: Config of this run.

    Raises:
        ValueError: Another training runs there, or all checkpoints are damaged.
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
        change_messages = [
            *describe_config_changes(workdir, config),
            *describe_device_changes(workdir),
        ]
        for message in [*damage_messages, *change_messages]:
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
        ValueError: Another training runs there.
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
                f"another training runs in {workdir}; wait until it ends, stop it, "
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
    old_model = _flatten_config(
        model_folder.read_config_json(workdir).get("model") or {}
    )
    # Compared as JSON: a config file has lists where a config has tuples.
    new_model = _flatten_config(as_json(config.to_dict()["model"]))
    changes = _list_changes(old_model, new_model, prefix="config.model")
    fixed_changes = [
        text for key, text in changes.items() if key not in CHANGEABLE_MODEL_KEYS
    ]
    if fixed_changes:
        raise ValueError(
            f"{workdir} holds a run of the model {old_model.get('name')} with other "
            f"parameters: {', '.join(fixed_changes)}; use the config of that run or "
            "another --workdir"
        )


def describe_config_changes(workdir: PathLike, config: ConfigDict) -> list[str]:
    """Describe the changes of a config since the run in a workdir was interrupted.

    Args:
        workdir: Workdir of the run; it need not exist.
        config: Config of this run.

    Returns:
        At most two sentences: changes that affect what the run learns, and changes that
        do not; none if there is nothing to resume.
    """
    if not store.list_steps(workdir):
        return []
    changes = _config_changes(workdir, config)
    harmless = [text for key, text in changes.items() if _is_harmless(key)]
    sentences = []
    if len(harmless) < len(changes):
        sentences.append(
            f"{list_effective_changes(workdir, config)}: the run in {workdir} resumes, "
            "but not as it would have without the change"
        )
    if harmless:
        sentences.append(
            f"remark: {', '.join(harmless)}; this does not change what the run learns"
        )
    return sentences


def check_no_changes(workdir: PathLike, config: ConfigDict) -> None:
    """Check that a workdir holds no run that learns something else.

    Args:
        workdir: Workdir of the run; it need not exist.
        config: Config of this run.

    Raises:
        ValueError: The run in the workdir has other values.
    """
    changes = list_effective_changes(workdir, config)
    if changes:
        raise ValueError(
            f"{workdir} holds a run with other values: {changes}; give --workdir "
            f"{workdir} to resume it with the new values, or another --workdir for a "
            "new run"
        )


def list_effective_changes(
    workdir: PathLike, config: ConfigDict, *, keys: Sequence[str] = ()
) -> str:
    """List the changes of a config that affect what a run in a workdir learns.

    Args:
        workdir: Workdir of the run; it need not exist.
        config: Config of this run.
        keys: Keys or blocks to which the list is restricted; () = all.

    Returns:
        Text such as "config.batch was 2 and is 4, ..."; "" if there is no such change
        or nothing to resume.
    """
    if not store.list_steps(workdir):
        return ""
    changes = _config_changes(workdir, config)
    return ", ".join(
        text
        for key, text in changes.items()
        if not _is_harmless(key) and (not keys or _is_any_of(key, keys))
    )


def _config_changes(workdir: PathLike, config: ConfigDict) -> dict[str, str]:
    """Return what became of each value of the config in a workdir, by its key."""
    old_values = _flatten_config(model_folder.read_config_json(workdir))
    new_values = _flatten_config(as_json(config.to_dict()))
    return _list_changes(old_values, new_values, prefix="config")


def _list_changes(
    old_values: Mapping[str, Any], new_values: Mapping[str, Any], *, prefix: str
) -> dict[str, str]:
    """Return what became of each value that has changed, by its key.

    Args:
        old_values: Values by their names.
        new_values: The same, now.
        prefix: Name of the block that the names belong to.
    """
    return {
        key: f"{prefix}.{key} was {old_values.get(key)!r} and is {new_values.get(key)!r}"
        for key in sorted(old_values.keys() | new_values.keys())
        if old_values.get(key) != new_values.get(key)
    }


def _is_harmless(key: str) -> bool:
    """Return whether a key changes nothing that the run learns."""
    return _is_any_of(key, HARMLESS_KEYS)


def _is_any_of(key: str, names: Sequence[str]) -> bool:
    """Return whether a key, or the block that it is in, is one of some names."""
    return any(f"{key}.".startswith(f"{name}.") for name in names)


def _flatten_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a nested config by names such as `optimizer.clip_norm`."""
    flat_values = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat_values |= _flatten_config(value, f"{prefix}{key}.")
        else:
            flat_values[f"{prefix}{key}"] = value
    return flat_values

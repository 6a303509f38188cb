"""Save and restore: a training run's state, a model's params.

A training run is a folder with `config.json`, `metrics.jsonl` and `checkpoints/STEP/`; a
checkpoint has four parts, `params`, `training` (optimiser, random key), `data` (the
loader's position, a file for each process) and `metrics`, so that a reader of the model
reads the params alone. A model without a run is a folder with `config.json` and
`params/`. Everything is written under another name and renamed when it is whole; of
arrays that are split each process writes its own shards. On a disk a checkpoint also has
the checksums of its files; a bucket looks after its own.
"""

import contextlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import grain.checkpoint
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as managers

from mst_jax.atomic_io import Place, write_whole
from mst_jax.checkpoints.integrity import find_damage, write_checksums
from mst_jax.checkpoints.write_errors import told_shortly

CHECKPOINTS, CONFIG, PARAMS, DATA = "checkpoints", "config.json", "params", "data"

# What Orbax adds to the name of a checkpoint that is being written.
UNFINISHED = ".orbax-checkpoint-tmp"

# The metric of which the least is best.
BEST_BY = "noc"


def write_config(folder: Place, config: dict) -> None:
    """Writes `config.json`, whole or not at all."""
    write_whole(folder / CONFIG, f"{json.dumps(config, indent=1)}\n".encode())


def read_config(folder: Place) -> dict:
    """Reads `config.json`.

    Raises:
        ValueError: there is none, or it is not JSON.
    """
    path = folder / CONFIG
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(
            f"no {CONFIG} in {folder}; expected the workdir of a training run or a "
            "converted checkpoint"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); restore it") from None


@contextlib.contextmanager
def open_checkpoints(
    workdir: Place, *, num_kept: int
) -> Iterator[ocp.CheckpointManager]:
    """Opens the run's checkpoints for reading and writing; at the end all are written.

    Args:
        workdir: of the run.
        num_kept: newest ones that are kept; besides them the best by `BEST_BY`, if any
            was measured.

    Raises:
        OSError: the last checkpoint could not be written.
    """

    def goodness(metrics: Mapping[str, float]) -> float:
        return -metrics.get(BEST_BY, math.inf)

    folder = workdir / CHECKPOINTS

    def before_rename() -> None:
        for unfinished in folder.glob(f"*{UNFINISHED}*"):
            write_checksums(unfinished)

    best = managers.BestN(
        get_metric_fn=goodness, n=1, keep_checkpoints_without_metrics=False
    )
    options = ocp.CheckpointManagerOptions(
        best_fn=goodness,
        preservation_policy=managers.AnyPreservationPolicy(
            [managers.LatestN(num_kept), best]
        ),
        cleanup_tmp_directories=True,
        create=True,
        async_options=ocp.AsyncOptions(post_finalization_callback=before_rename),
    )
    manager = ocp.CheckpointManager(folder.absolute(), options=options)
    try:
        yield manager
    finally:
        with told_shortly(folder):
            manager.close()


def save(
    manager: ocp.CheckpointManager,
    step: int,
    params: dict,
    training: dict,
    data: object,
    *,
    metrics: Mapping[str, float] | None = None,
) -> None:
    """Starts to write a checkpoint; it appears under its number when it is whole.

    Every process of the run calls this; each writes its shards and its data's position.

    Args:
        manager: of `open_checkpoints`.
        step: updates done.
        params: tree of arrays.
        training: everything else that the next step needs, a tree of arrays.
        data: the Grain iterator whose position belongs to this step.
        metrics: what was measured at this step; see `BEST_BY`.

    Raises:
        OSError: this checkpoint, or the one before, cannot be written.
    """
    with told_shortly(manager.directory):
        manager.save(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(params),
                training=ocp.args.StandardSave(training),
                data=grain.checkpoint.CheckpointSave(data),
            ),
            metrics=dict(metrics or {}),
            force=True,
        )


def restore(
    manager: ocp.CheckpointManager,
    step: int,
    params: dict,
    training: dict,
    data: object,
) -> tuple[dict, dict]:
    """Reads a checkpoint into trees like the given ones and moves the iterator.

    Arrays come to lie as the given ones do, on whatever devices they were saved.

    Args:
        manager: of `open_checkpoints`.
        step: of the checkpoint.
        params: tree of arrays.
        training: tree of arrays.
        data: Grain iterator; None if its position is not wanted.

    Returns:
        params and training as they were saved.

    Raises:
        ValueError: the checkpoint holds other arrays: another model or optimiser.
    """
    expected = jax.tree.map(ocp.utils.to_shape_dtype_struct, (params, training))
    parts = {
        name: ocp.args.StandardRestore(tree)
        for name, tree in zip(("params", "training"), expected, strict=True)
    }
    if data is not None:
        parts["data"] = grain.checkpoint.CheckpointRestore(data)
    try:
        restored = manager.restore(step, args=ocp.args.Composite(**parts))
    except Exception:  # Orbax raises Exception itself for an array it cannot read
        raise ValueError(
            f"checkpoint {step} in {manager.directory} was not made by this config: its "
            "parameters or its optimiser are others, or it is damaged; use the config of "
            "that run or another --workdir"
        ) from None
    return restored.params, restored.training


def has_position(manager: ocp.CheckpointManager, step: int) -> bool:
    """Has a checkpoint the position of this process's data, one of so many processes?"""
    name = f"process_{jax.process_index()}-of-{jax.process_count()}.json"
    return (manager.directory / str(step) / DATA / name).exists()


def steps_of(workdir: Place) -> list[int]:
    """Returns the steps of which a run has checkpoints; none if there is no run."""
    names = [entry.name for entry in (workdir / CHECKPOINTS).glob("*")]
    return sorted(int(name) for name in names if name.isdigit())


def find_model(path: Place) -> tuple[Place, Place]:
    """Finds a model's (folder of `config.json`, folder of params).

    Args:
        path: a run's workdir (its newest whole checkpoint counts; damaged ones are named
            on stderr), one of its checkpoints, or a converted checkpoint.

    Raises:
        ValueError: there is nothing at `path`, or nothing that holds a whole model.
    """
    path = path.absolute()
    if not path.is_dir():
        what = "not a folder" if path.exists() else "not there"
        raise ValueError(
            f"checkpoint {path} is {what}; expected the workdir of a training run or a "
            "converted checkpoint"
        )
    run, folders = path, [path]
    if not (path / PARAMS).is_dir():
        folders = [path / CHECKPOINTS / str(step) for step in reversed(steps_of(path))]
    elif path.parent.name == CHECKPOINTS:
        run = path.parent.parent
    told = []
    for folder in folders:
        damage = find_damage(folder, PARAMS)
        if not damage:
            for one in told:
                sys.stderr.write(f"{one}; taking {folder.name}, the one before\n")
            return run, folder / PARAMS
        told.append(f"checkpoint {folder} is damaged ({damage})")
    raise ValueError(
        f"{told[0]}; take an earlier one"
        if told
        else f"no checkpoint in {path}; train first: "
        "python -m mst_jax.train --config FILE --workdir DIR"
    )


def read_params(folder: Place, expected: dict) -> dict:
    """Reads params that must look like `expected`, a tree of shapes, onto one device.

    Raises:
        ValueError: names or shapes differ, and says the first difference; or the files
            are damaged.
    """
    # The handler, not a Checkpointer: that one warns of metadata which a part of a
    # checkpoint never has.
    reader = ocp.StandardCheckpointHandler()
    damaged = ValueError(
        f"the params in {folder} are damaged; take an earlier checkpoint of the run"
    )
    try:
        have = _shapes(dict(reader.metadata(folder.absolute())))
    except (OSError, ValueError, TypeError, KeyError):
        raise damaged from None
    want = _shapes(expected)
    for name in sorted(want.keys() | have.keys()):
        if want.get(name) != have.get(name):
            raise ValueError(
                f"{folder} holds another model: {name} is "
                f"{have.get(name, 'missing')}, the config's model has "
                f"{want.get(name, 'none')}; use the config it was saved with"
            )
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    wanted = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
        expected,
    )
    try:
        return reader.restore(folder.absolute(), args=ocp.args.StandardRestore(wanted))
    except (OSError, ValueError, TypeError, KeyError):
        raise damaged from None
    finally:
        reader.close()


def _shapes(tree: dict) -> dict[str, tuple[int, ...]]:
    """Path of each array -> its shape."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def write_model(folder: Path, params: dict, config: dict) -> None:
    """Writes a model without a run: `config.json` and `params/`, whole or not at all.

    Raises:
        ValueError: there is something at `folder` already.
    """
    if folder.exists():
        raise ValueError(f"{folder} exists already; choose another folder or remove it")
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        beside.mkdir(parents=True)
        write_config(beside, config)
        with ocp.StandardCheckpointer() as writer:
            writer.save((beside / PARAMS).absolute(), params)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)

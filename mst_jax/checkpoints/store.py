"""Save and restore: a training run's state, a model's params.

A training run is a folder with `config.json`, `metrics.jsonl` and `checkpoints/STEP/`; a
checkpoint has three parts, `params`, `training` (optimiser, random key, step) and `data`
(the loader's position), so that a reader of the model reads the params alone. A model
without a run is a folder with `config.json` and `params/`. Everything is written under
another name and renamed when it is whole.
"""

import json
import os
import shutil
from pathlib import Path

import grain.checkpoint
import jax
import orbax.checkpoint as ocp

from mst_jax.whole_file import write_whole

CHECKPOINTS, CONFIG, PARAMS = "checkpoints", "config.json", "params"


def write_config(folder: Path, config: dict) -> None:
    """Writes `config.json`, whole or not at all."""
    write_whole(folder / CONFIG, f"{json.dumps(config, indent=1)}\n".encode())


def read_config(folder: Path) -> dict:
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


def open_checkpoints(workdir: Path, *, num_kept: int) -> ocp.CheckpointManager:
    """Opens the run's checkpoints for reading and writing; keeps the newest ones."""
    options = ocp.CheckpointManagerOptions(
        max_to_keep=num_kept, cleanup_tmp_directories=True, create=True
    )
    return ocp.CheckpointManager((workdir / CHECKPOINTS).absolute(), options=options)


def save(
    manager: ocp.CheckpointManager,
    step: int,
    params: dict,
    training: dict,
    data: object,
) -> None:
    """Starts to write a checkpoint; it appears under its number when it is whole.

    Args:
        manager: of `open_checkpoints`.
        step: updates done.
        params: tree of arrays.
        training: everything else that the next step needs, a tree of arrays.
        data: the Grain iterator whose position belongs to this step.
    """
    manager.save(
        step,
        args=ocp.args.Composite(
            params=ocp.args.StandardSave(params),
            training=ocp.args.StandardSave(training),
            data=grain.checkpoint.CheckpointSave(data),
        ),
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

    Returns:
        params and training as they were saved.

    Raises:
        ValueError: the checkpoint holds other arrays: another model or optimiser.
    """
    expected = jax.tree.map(ocp.utils.to_shape_dtype_struct, (params, training))
    try:
        restored = manager.restore(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(expected[0]),
                training=ocp.args.StandardRestore(expected[1]),
                data=grain.checkpoint.CheckpointRestore(data),
            ),
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"checkpoint {step} in {manager.directory} was not made by this config: its "
            "parameters or its optimiser are others; use the config of that run or "
            "another --workdir"
        ) from None
    return restored.params, restored.training


def steps_of(workdir: Path) -> list[int]:
    """Returns the steps of which a run has checkpoints; none if there is no run."""
    return [
        int(entry.name)
        for entry in (workdir / CHECKPOINTS).glob("*")
        if entry.name.isdigit() and (entry / PARAMS).is_dir()
    ]


def find_model(path: Path) -> tuple[Path, Path]:
    """Finds a model's (folder of `config.json`, folder of params).

    Args:
        path: a run's workdir (its newest checkpoint counts), one of its checkpoints, or
            a converted checkpoint.

    Raises:
        ValueError: there is nothing at `path`, or nothing that holds a model.
    """
    path = path.absolute()
    if not path.is_dir():
        what = "not a folder" if path.exists() else "not there"
        raise ValueError(
            f"checkpoint {path} is {what}; expected the workdir of a training run or a "
            "converted checkpoint"
        )
    if (path / PARAMS).is_dir():
        is_step = path.parent.name == CHECKPOINTS
        return path.parent.parent if is_step else path, path / PARAMS
    steps = steps_of(path)
    if not steps:
        raise ValueError(
            f"no checkpoint in {path}; train first: "
            "python -m mst_jax.train --config FILE --workdir DIR"
        )
    return path, path / CHECKPOINTS / str(max(steps)) / PARAMS


def read_params(folder: Path, expected: dict) -> dict:
    """Reads params that must look like `expected`, a tree of shapes.

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
    try:
        return reader.restore(
            folder.absolute(), args=ocp.args.StandardRestore(expected)
        )
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

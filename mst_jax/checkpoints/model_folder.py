"""A model on disk: `config.json` and `params/`, of a run's checkpoint or of its own.

Files appear complete or not at all: they are written under another name and renamed.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from mst_jax.atomic_io import PathLike, atomic_write
from mst_jax.checkpoints.integrity import (
    READ_ERRORS,
    check_same_shapes,
    find_damage,
    flat_shapes,
)
from mst_jax.checkpoints.store import (
    CHECKPOINTS_FOLDER,
    PARAMS_FOLDER,
    checkpoint_folders,
)

CONFIG_FILE = "config.json"


def write_config_json(folder: PathLike, config: dict) -> None:
    """Write `config.json` atomically.

    Args:
        folder: Workdir of a run, or folder of a model; created if it is missing.
        config: Nested dict of values that JSON can hold.
    """
    atomic_write(folder / CONFIG_FILE, f"{json.dumps(config, indent=1)}\n".encode())


def read_config_json(folder: PathLike) -> dict[str, Any]:
    """Read `config.json`.

    Args:
        folder: Workdir of a run, or folder of a model.

    Raises:
        ValueError: There is no such file, or it is not JSON.
    """
    path = folder / CONFIG_FILE
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(
            f"no {CONFIG_FILE} in {folder}; expected the workdir of a training run or a "
            "converted checkpoint"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); restore it") from None


def find_model_folders(path: PathLike) -> tuple[PathLike, PathLike]:
    """Find the folder of a model's `config.json` and the folder of its parameters.

    Args:
        path: Workdir of a run, one of its checkpoints, or a converted checkpoint. In a
            workdir the newest intact checkpoint counts; damaged ones are named on stderr.

    Returns:
        The folder of `config.json` and the folder of the parameters.

    Raises:
        ValueError: There is nothing at `path`, or nothing that holds an intact model.
    """
    path = path.absolute()
    if not path.is_dir():
        path_problem = "not a folder" if path.exists() else "not there"
        raise ValueError(
            f"checkpoint {path} is {path_problem}; expected the workdir of a training run "
            "or a converted checkpoint"
        )
    # 1. A converted checkpoint, a run's workdir, or one checkpoint of a run.
    config_folder, candidate_folders = path, [path]
    if not (path / PARAMS_FOLDER).is_dir():
        candidate_folders = checkpoint_folders(path)[::-1]
    elif path.parent.name == CHECKPOINTS_FOLDER:
        config_folder = path.parent.parent
    # 2. The first intact candidate; a run is readable while its newest one is damaged.
    damage_warnings = []
    for candidate_folder in candidate_folders:
        damage = find_damage(candidate_folder, PARAMS_FOLDER)
        if damage is None:
            for damage_warning in damage_warnings:
                sys.stderr.write(
                    f"{damage_warning}; using the earlier {candidate_folder.name}\n"
                )
            return config_folder, candidate_folder / PARAMS_FOLDER
        damage_warnings.append(f"checkpoint {candidate_folder} is damaged ({damage})")
    raise ValueError(
        f"{damage_warnings[0]}; use an earlier one"
        if damage_warnings
        else f"no checkpoint in {path}; train first: "
        "python -m mst_jax.train --config FILE --workdir DIR"
    )


def read_params(folder: PathLike, expected: dict) -> dict:
    """Read parameters onto one device, converted to the expected dtypes.

    Args:
        folder: Folder of the parameters, see `find_model_folders`.
        expected: Tree of shapes and dtypes that the parameters must have.

    Returns:
        Tree of arrays like `expected`.

    Raises:
        ValueError: Names or shapes differ (the message names the first difference), or
            the files are damaged.
    """
    # A handler instead of a Checkpointer: that one warns of missing metadata, which a
    # part of a checkpoint never has.
    params_handler = ocp.StandardCheckpointHandler()
    params_directory = epath.Path(folder).absolute()
    damaged_error = ValueError(
        f"the params in {folder} are damaged; use an earlier checkpoint of the run"
    )
    # 1. Compare the shapes: Orbax would only report that something differs.
    try:
        saved_shapes = flat_shapes(params_handler.metadata(params_directory).tree)
    except READ_ERRORS:
        raise damaged_error from None
    check_same_shapes(saved_shapes, flat_shapes(expected), folder)
    # 2. Read onto one device, whatever devices the arrays were saved from.
    one_device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    placed_shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=one_device),
        expected,
    )
    try:
        restore_args = ocp.args.StandardRestore(placed_shapes)
        return params_handler.restore(params_directory, args=restore_args)
    except READ_ERRORS:
        raise damaged_error from None
    finally:
        params_handler.close()


def write_model_folder(folder: Path, params: dict, config: dict) -> None:
    """Write a model without a run: `config.json` and `params/`, atomically.

    Args:
        folder: Folder to create.
        params: Tree of the parameters.
        config: Config of the model, values that JSON can hold.

    Raises:
        ValueError: There is something at `folder` already.
    """
    if folder.exists():
        raise ValueError(f"{folder} already exists; choose another folder or remove it")
    # Beside the destination, so that the rename stays on one file system.
    unfinished_folder = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        unfinished_folder.mkdir(parents=True)
        write_config_json(unfinished_folder, config)
        with ocp.StandardCheckpointer() as params_writer:
            params_writer.save((unfinished_folder / PARAMS_FOLDER).absolute(), params)
        unfinished_folder.rename(folder)
    finally:
        shutil.rmtree(unfinished_folder, ignore_errors=True)

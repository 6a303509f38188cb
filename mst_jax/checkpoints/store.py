"""Checkpoints of a training run: save, restore, list.

A run is a folder with `config.json`, `metrics.jsonl` and `checkpoints/STEP/`. A checkpoint
has four parts: `params`, `training` (optimizer, random key), `data` (position of the data
iterator, one file per process) and `metrics`. A program that needs only the model reads
`params`. If a run keeps a moving average of the parameters, `params` is the average, and
`training` also holds the raw parameters.

A checkpoint is written under a temporary name and renamed when it is complete. Each process
writes its shards of sharded arrays. On a local disk (not a bucket) a checkpoint also holds
the checksums of its files.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import checkpoint_managers as managers

from mst_jax.atomic_io import PathLike
from mst_jax.checkpoints.integrity import READ_ERRORS, flat_shapes, write_checksums
from mst_jax.extras import needs_extra

# Reading the parameters of a run needs no Grain.
if TYPE_CHECKING:
    import grain

CHECKPOINTS_FOLDER, PARAMS_FOLDER, DATA_FOLDER = "checkpoints", "params", "data"
TRAINING_FOLDER = "training"

# Orbax appends this to the name of a checkpoint that it is writing.
UNFINISHED_SUFFIX = ".orbax-checkpoint-tmp"

# The metric whose minimum marks the best checkpoint: NoC, number of clicks.
BEST_METRIC = "noc"


@contextlib.contextmanager
def open_checkpoints(
    workdir: PathLike, *, keep_checkpoints: int
) -> Iterator[ocp.CheckpointManager]:
    """Open a run's checkpoints for reading and writing; on exit all writes are finished.

    Args:
        workdir: Folder of the run.
        keep_checkpoints: Number of newest checkpoints that are kept. The best one by
            `BEST_METRIC`, if any was measured, is kept in addition.

    Yields:
        The manager, an argument of `save_checkpoint` and `restore_checkpoint`.

    Raises:
        OSError: The last checkpoint could not be written.
    """
    folder = workdir / CHECKPOINTS_FOLDER

    def best_score(metrics: Mapping[str, float]) -> float:
        return -metrics.get(BEST_METRIC, math.inf)

    # Runs when all files are written, before the folder gets its final name: a checkpoint
    # never appears without its checksums.
    def before_rename() -> None:
        for unfinished_folder in folder.glob(f"*{UNFINISHED_SUFFIX}*"):
            write_checksums(unfinished_folder)

    # Without this option every checkpoint without metrics would be kept as well.
    keep_best = managers.BestN(
        get_metric_fn=best_score, n=1, keep_checkpoints_without_metrics=False
    )
    options = ocp.CheckpointManagerOptions(
        best_fn=best_score,
        preservation_policy=managers.AnyPreservationPolicy(
            [managers.LatestN(keep_checkpoints), keep_best]
        ),
        cleanup_tmp_directories=True,
        create=True,
        async_options=ocp.AsyncOptions(post_finalization_callback=before_rename),
    )
    # Orbax accepts absolute paths only.
    manager = ocp.CheckpointManager(folder.absolute(), options=options)
    try:
        yield manager
    finally:
        # Waits for the thread that writes, whose errors are raised here.
        with summarize_write_errors(folder):
            manager.close()


def save_checkpoint(
    manager: ocp.CheckpointManager,
    step: int,
    params: dict,
    training_state: dict,
    data_iterator: "grain.DatasetIterator",
    *,
    metrics: Mapping[str, float] | None = None,
) -> None:
    """Start writing a checkpoint; it appears under its step when it is complete.

    Every process of the run calls this; each writes its shards and the position of its
    data iterator.

    Args:
        manager: Manager from `open_checkpoints`.
        step: Number of updates done.
        params: Tree of the parameters to evaluate: their moving average, if there is one.
        training_state: Tree of all other arrays that the next step needs; with a moving
            average also the raw parameters.
        data_iterator: Iterator whose position belongs to this step.
        metrics: Metrics measured at this step; see `BEST_METRIC`.

    Raises:
        OSError: This checkpoint, or the one before, cannot be written.
    """
    with needs_extra("train"):
        import grain.checkpoint
    with summarize_write_errors(manager.directory):
        manager.save(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(params),
                training=ocp.args.StandardSave(training_state),
                data=grain.checkpoint.CheckpointSave(data_iterator),
            ),
            metrics=dict(metrics or {}),
            force=True,
        )


def restore_checkpoint(
    manager: ocp.CheckpointManager,
    step: int,
    params: dict,
    training_state: dict,
    data_iterator: "grain.DatasetIterator | None",
) -> tuple[dict, dict]:
    """Read a checkpoint into trees like the given ones and move the data iterator.

    Arrays get the sharding of the given ones, on whatever devices they were saved.

    Args:
        manager: Manager from `open_checkpoints`.
        step: Step of the checkpoint.
        params: Tree of arrays with the shapes and shardings of the parameters.
        training_state: Tree of arrays with the shapes and shardings of the rest of the
            state.
        data_iterator: Iterator that is moved to the saved position; None leaves the
            position unread.

    Returns:
        The parameters and the training state as they were saved.

    Raises:
        ValueError: The checkpoint holds other arrays (those of another model or
            optimizer), or it cannot be read.
    """
    # Shapes, dtypes and shardings; the values of the given arrays are not used.
    expected_params, expected_state = jax.tree.map(
        ocp.utils.to_shape_dtype_struct, (params, training_state)
    )
    restore_args: dict[str, ocp.args.CheckpointArgs] = {
        "params": ocp.args.StandardRestore(expected_params),
        "training": ocp.args.StandardRestore(expected_state),
    }
    # Grain restores in place: the iterator itself moves.
    if data_iterator is not None:
        with needs_extra("train"):
            import grain.checkpoint
        restore_args["data"] = grain.checkpoint.CheckpointRestore(data_iterator)
    try:
        restored_parts = manager.restore(step, args=ocp.args.Composite(**restore_args))
    # Orbax raises Exception itself for an array that it cannot read.
    except Exception as error:
        raise ValueError(
            f"checkpoint {step} in {manager.directory} does not belong to this config: it "
            "has other parameters or another optimizer, or it is damaged; use the config "
            "of that run or another --workdir"
        ) from error
    return restored_parts["params"], restored_parts["training"]


def fits_training_state(
    workdir: PathLike, step: int, training_state: Mapping[str, Any]
) -> bool:
    """Return whether a checkpoint holds the arrays of a training state.

    Only names and shapes are read. A checkpoint whose names cannot be read, such as a
    damaged one, counts as fitting.

    Args:
        workdir: Folder of the run.
        step: Step of the checkpoint.
        training_state: Tree of arrays or shapes, see `save_checkpoint`.
    """
    run_folder = epath.Path(workdir).absolute() / CHECKPOINTS_FOLDER
    folder = run_folder / str(step) / TRAINING_FOLDER
    try:
        saved_tree = ocp.StandardCheckpointHandler().metadata(folder).tree
        return flat_shapes(saved_tree) == flat_shapes(training_state)
    except READ_ERRORS:
        return True


def has_data_position(manager: ocp.CheckpointManager, step: int) -> bool:
    """Return whether a checkpoint holds the data position of this process.

    It does not if the run that saved it had another number of processes.

    Args:
        manager: Manager from `open_checkpoints`.
        step: Step of the checkpoint.
    """
    file_name = f"process_{jax.process_index()}-of-{jax.process_count()}.json"
    return (manager.directory / str(step) / DATA_FOLDER / file_name).exists()


def list_steps(workdir: PathLike) -> list[int]:
    """Return the steps at which a run has checkpoints, ascending; [] if there is no run.

    Args:
        workdir: Folder of the run.
    """
    # Unfinished and damaged checkpoints have more than digits in their names.
    folder_names = [entry.name for entry in (workdir / CHECKPOINTS_FOLDER).glob("*")]
    return sorted(int(name) for name in folder_names if name.isdigit())


def checkpoint_folders(workdir: PathLike) -> list[PathLike]:
    """Return the folders of a run's checkpoints, oldest first.

    Args:
        workdir: Folder of the run.
    """
    return [workdir / CHECKPOINTS_FOLDER / str(step) for step in list_steps(workdir)]


@contextlib.contextmanager
def summarize_write_errors(folder: PathLike) -> Iterator[None]:
    """Turn any error of the block into an OSError of one sentence.

    Messages of TensorStore, which writes the arrays, fill a page.

    Args:
        folder: Folder that is written, for the message.
    """
    try:
        yield
    except Exception as error:
        error_reason = str(error).partition("\n")[0]
        if "RESOURCE_EXHAUSTED" in error_reason or "No space left" in error_reason:
            error_reason = "the disk is full"
        raise OSError(
            f"no checkpoint could be written into {folder}: {error_reason}"
        ) from None

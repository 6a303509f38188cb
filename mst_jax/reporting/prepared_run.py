"""Check and describe a training run before anything is initialized or compiled."""

import shlex
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from mst_jax.atomic_io import PathLike, check_writable
from mst_jax.checkpoints import model_folder, store
from mst_jax.config_options import call_with_options
from mst_jax.data.batch_iterator import BatchIterator
from mst_jax.evaluation.validation import ValidationOptions
from mst_jax.models.warm_start import StartValues, read_start_values
from mst_jax.reporting.training_monitor import SummaryOptions, TrainingMonitor
from mst_jax.reporting.training_progress import TrainingProgress
from mst_jax.training.config import check_config
from mst_jax.training.startup import run_summary
from mst_jax.training.startup.accelerators import unused_accelerator_warning
from mst_jax.training.startup.training_data import DEFAULT_SPLIT, open_data
from mst_jax.training.telemetry import parse_profile_range
from mst_jax.training.train_state import resume_tree
from mst_jax.training.training_run import (
    RunPlan,
    StatePlan,
    plan_run,
    plan_state,
)
from mst_jax.training.workdir import (
    STATE_KEYS,
    check_no_changes,
    check_same_model,
    list_effective_changes,
)

# Blocks of a config that `training/` does not read.
READER_BLOCKS: dict[str, type] = {
    "validation": ValidationOptions,
    "summaries": SummaryOptions,
}


class PreparedRun(NamedTuple):
    """A run whose config, files and shapes are checked, before it is initialized.

    Attributes:
        plan: Model, optimizer, devices and step.
        state_plan: Shapes and shardings of the first state.
        start: Parameters of `config.init_from`; None = random ones, or a run to resume.
        batches: Stream of training batches.
        monitor: Validation, images and metrics.
        profile_range: First and last step to trace; None = no trace.
    """

    plan: RunPlan
    state_plan: StatePlan
    start: StartValues | None
    batches: BatchIterator
    monitor: TrainingMonitor
    profile_range: tuple[int, int] | None


def prepare_run(
    config: ConfigDict,
    workdir: PathLike,
    progress: TrainingProgress,
    *,
    profile: str | None,
    resume_changed: bool = True,
) -> PreparedRun:
    """Check everything that a run needs and describe it; nothing is written to disk.

    Args:
        config: Config of a run.
        workdir: Workdir of the run.
        progress: Output on stderr; each line is written as soon as it is known.
        profile: Steps to trace, START:STOP; None = no trace.
        resume_changed: See `train`.

    Raises:
        ValueError: A wrong config, a dataset that is not prepared, a checkpoint that does
            not fit, or a workdir that holds a run of another model or cannot be
            written to.
    """
    # 1. Values, paths and datasets: seconds.
    options = check_config(config)
    profile_range = parse_profile_range(profile, options.steps) if profile else None
    check_writable(workdir / model_folder.CONFIG_FILE)
    progress.write(run_summary.describe_devices())
    progress.write(unused_accelerator_warning())
    plan = plan_run(options)
    dataset, batches = call_with_options(
        open_data, "config.data", options, **options.data
    )
    monitor = TrainingMonitor(plan, config)
    check_same_model(workdir, config)
    if not resume_changed:
        check_no_changes(workdir, config)
    progress.write(
        run_summary.describe_dataset(
            dataset,
            name=options.data["name"],
            split=options.data.get("split", DEFAULT_SPLIT),
            data_dir=options.data["data_dir"],
        )
    )
    progress.write(monitor.remark)
    # 2. Shapes, and the parameters that the run starts from. A run with checkpoints
    # resumes; it does not read `config.init_from`.
    newest_step = max(store.list_steps(workdir), default=None)
    state_plan = plan_state(plan)
    if newest_step is not None:
        _check_same_state(workdir, newest_step, state_plan, config)
    params = state_plan.shapes.params
    progress.write(run_summary.describe_model(options, params))
    start = None
    if newest_step is None and options.init_from is not None:
        start = read_start_values(params, options.init_from, reinit=options.reinit)
    progress.write(
        run_summary.describe_start(start, newest_step=newest_step, workdir=str(workdir))
    )
    if newest_step is None and start is None:
        progress.write(run_summary.random_start_warning(options, params))
    progress.write(run_summary.describe_steps(options, num_images=len(dataset)))
    progress.write(f"workdir: {workdir}")
    return PreparedRun(plan, state_plan, start, batches, monitor, profile_range)


def _check_same_state(
    workdir: PathLike, newest_step: int, state_plan: StatePlan, config: ConfigDict
) -> None:
    """Check that the optimizer can continue from the state in a checkpoint.

    Args:
        workdir: Workdir of the run to resume.
        newest_step: Step of its newest checkpoint.
        state_plan: Shapes of the state that this config needs.
        config: Config of this run.

    Raises:
        ValueError: The checkpoint holds other arrays.
    """
    expected = jax.eval_shape(resume_tree, state_plan.shapes)
    if store.fits_training_state(workdir, newest_step, expected):
        return
    changes = list_effective_changes(workdir, config, keys=STATE_KEYS)
    raise ValueError(
        f"the checkpoints in {workdir} hold another optimizer state than this config "
        f"needs ({changes or 'written by another version'}); use the values of that "
        "run, or start a new run from its model: another --workdir with "
        f"--config.init_from={workdir}"
    )


def final_line(config: ConfigDict, workdir: str) -> str:
    """Return where the model of a finished run is and the command that evaluates it.

    Args:
        config: Config of the run.
        workdir: Workdir of the run.
    """
    values = config.to_dict()
    data, validation = values["data"], values["validation"]
    # The dataset of the validation, else that of the training.
    source = validation if validation.get("name") else data
    split_flag = ("--split", validation["split"]) if validation.get("name") else ()
    # Quoted, because a split such as train[80%:] is a pattern to some shells.
    command = shlex.join(
        (
            *("python", "-m", "mst_jax.evaluate", "--checkpoint", workdir),
            *("--dataset", source["name"], "--data-dir", source["data_dir"]),
            *(*split_flag, "--out", f"{workdir}/clicks.json"),
        )
    )
    return f"saved in {workdir}, evaluate with: {command}"

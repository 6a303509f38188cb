"""The training command: `python -m mst_jax.train --config FILE`."""

import contextlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from ml_collections import ConfigDict

from mst_jax.atomic_io import PathLike, as_path
from mst_jax.checkpoints import model_folder, store
from mst_jax.command_line import CommandParser
from mst_jax.compilation_cache import add_cache_flag, enable_compilation_cache
from mst_jax.config_options import as_json
from mst_jax.reporting.prepared_run import READER_BLOCKS, final_line, prepare_run
from mst_jax.reporting.training_progress import TrainingProgress
from mst_jax.reporting.writers import import_wandb
from mst_jax.training import distributed, sharding, train_loop
from mst_jax.training.config import read_config
from mst_jax.training.metrics_log import DivergedError
from mst_jax.training.preemption import (
    EXIT_CODES,
    EXIT_FAILED,
    install_signal_handlers,
)
from mst_jax.training.startup.device_memory import fit_run
from mst_jax.training.startup.used_devices import read_memory_changes, write_devices
from mst_jax.training.telemetry import PROFILE_DIR, make_profiler
from mst_jax.training.train_loop import LoopOptions, StepCallback
from mst_jax.training.train_state import TrainState, restore_latest, resume_tree
from mst_jax.training.train_step import Metrics, TrainStepFn
from mst_jax.training.training_run import RunPlan, StatePlan, TrainingRun, init_run
from mst_jax.training.workdir import claim_workdir


def train(
    config: ConfigDict,
    workdir: PathLike,
    *,
    should_stop: Callable[[], int] = lambda: 0,
    profile: str | None = None,
    wandb_project: str | None = None,
    resume_changed: bool = True,
) -> TrainState:
    """Train the model of a config, or resume its run from the newest checkpoint.

    Args:
        config: Config of a run, see `configs/`.
        workdir: Folder for `config.json`, `metrics.jsonl`, `checkpoints/`,
            `tensorboard/`, `images/` and `profile/`, see docs/training.md.
        should_stop: Called after each step; a value other than 0 saves and ends the run
            early.
        profile: Steps to trace, START:STOP; None = no trace.
        wandb_project: Project of Weights & Biases; None = no report there.
        resume_changed: Whether a run in the workdir is resumed although values of the
            config have changed that affect what it learns; False = an error.

    Returns:
        The last state.

    Raises:
        ValueError: A wrong config, a dataset that is not prepared, a workdir that holds
            a run of another model, is in use or cannot be written to, or a step that
            does not fit into the memory of the devices.
        OSError: The disk is full or has failed.
        DivergedError: The loss is not finite; the message names the step.
    """
    # 1. Everything that can be wrong is checked before anything is initialized.
    if wandb_project:
        import_wandb()
    is_main = distributed.is_main_process()
    progress = TrainingProgress(is_shown=is_main)
    plan, state_plan, start, batches, monitor, profile_range = prepare_run(
        config,
        workdir,
        progress,
        profile=profile,
        resume_changed=resume_changed,
    )
    options = plan.options
    with (
        claim_workdir(workdir, config),
        store.open_checkpoints(
            workdir, keep_checkpoints=options.keep_checkpoints
        ) as manager,
    ):
        # 2. Resume; the main process writes the config and the logs from here on.
        plan, state_plan, compiled_step, memory_changes = _fit_run_to_resume(
            plan, state_plan, workdir, progress
        )
        run = init_run(plan, state_plan, start)
        run = run._replace(state=restore_latest(manager, run.state, batches))
        if is_main:
            model_folder.write_config_json(workdir, as_json(config.to_dict()))
            write_devices(workdir, memory_changes=memory_changes)
        monitor.open_writers(workdir, run, progress, wandb_project=wandb_project)
        if profile_range and is_main:
            profiler = make_profiler(workdir / PROFILE_DIR, *profile_range)
            monitor.callbacks.append(StepCallback(*profiler))

        def on_checkpoint(step: int, state: TrainState, _: Mapping) -> None:
            metrics = monitor.checkpoint_metrics(step)
            params, resume_values = state.eval_params, resume_tree(state)
            store.save_checkpoint(
                manager, step, params, resume_values, batches, metrics=metrics
            )

        # 3. Train until the last step, a stop signal or an error.
        progress.start_steps(
            title=str(workdir),
            num_steps=options.steps,
            first_step=int(run.state.step),
        )
        with (
            progress,
            contextlib.closing(monitor),
            distributed.abort_all_on_error(workdir),
        ):
            return train_loop.run_train_loop(
                partial(_run_step, run, compiled_step or run.train_step, progress),
                run.state,
                batches,
                LoopOptions(options.steps, options.log_every, options.checkpoint_every),
                on_log=monitor.on_log,
                on_checkpoint=on_checkpoint,
                callbacks=monitor.callbacks,
                should_stop=distributed.sync_stop_signal(should_stop),
            )


def _fit_run_to_resume(
    plan: RunPlan, state_plan: StatePlan, workdir: PathLike, progress: TrainingProgress
) -> tuple[RunPlan, StatePlan, TrainStepFn | None, str]:
    """Do what `fit_run` does, unless the run in the workdir has made its last step."""
    previous_changes = read_memory_changes(workdir)
    if max(store.list_steps(workdir), default=0) >= plan.options.steps:
        return plan, state_plan, None, previous_changes
    return fit_run(plan, state_plan, progress.write, previous_changes=previous_changes)


def _run_step(
    run: TrainingRun,
    train_step: TrainStepFn,
    progress: TrainingProgress,
    state: TrainState,
    batch: train_loop.HostBatch,
) -> tuple[TrainState, Metrics]:
    """Run a training step with the batches of all processes."""
    state, metrics = train_step(state, sharding.shard_batch(run.layout, batch))
    progress.finish_step(metrics["loss"])
    return state, metrics


def main(argv: Sequence[str] | None = None) -> None:
    """Run the training command.

    Args:
        argv: Words of the command line; None = those of this process.
    """
    parser = make_parser()
    command_flags, other_words = parser.parse_known_args(argv)
    # Before JAX starts: a signal while the step compiles must save as well.
    exit_code = install_signal_handlers()
    workdir = command_flags.workdir or default_workdir(command_flags.config)
    try:
        config = read_config(
            ["--config", command_flags.config, *other_words],
            reader_blocks=READER_BLOCKS,
            command_flags=parser.flag_names(),
        )
        enable_compilation_cache(command_flags.compilation_cache)
        distributed.join_processes(
            command_flags.coordinator,
            command_flags.num_processes,
            command_flags.process_id,
        )
        state = train(
            config,
            as_path(workdir),
            should_stop=exit_code,
            profile=command_flags.profile,
            wandb_project=command_flags.wandb,
            # A default workdir may contain another run that the user has forgotten.
            resume_changed=bool(command_flags.workdir),
        )
    # Errors of users and machines are one sentence; bugs have a traceback.
    except ValueError as error:
        parser.exit_with_error(error)
    except KeyboardInterrupt:
        sys.stderr.write(
            "stopped at once, without saving; the same command resumes from the newest "
            f"checkpoint in {workdir}\n"
        )
        sys.exit(EXIT_CODES[signal.SIGINT])
    except OSError as error:
        sys.stderr.write(
            f"error: the run in {workdir} failed: {error}; after that is corrected, the "
            "same command resumes the run\n"
        )
        sys.exit(EXIT_FAILED)
    except DivergedError as error:
        sys.stderr.write(
            f"error: {error}; the checkpoints before it are kept in {workdir}; lower "
            "config.optimizer.learning_rate or set clip_norm, and start the command "
            "again; to resume from an earlier checkpoint, remove the newest\n"
        )
        sys.exit(EXIT_FAILED)
    # Ended early: the exit code informs a launch script whether to restart.
    num_steps = config.to_dict()["steps"]
    if int(state.step) < num_steps:
        sys.stderr.write(
            f"stopped at step {int(state.step)} of {num_steps}, saved in {workdir}; the "
            "same command resumes it\n"
        )
        # Without a signal in this process, another process of the run has got one.
        sys.exit(exit_code() or EXIT_CODES[signal.SIGTERM])
    if distributed.is_main_process():
        sys.stderr.write(f"{final_line(config, workdir)}\n")


def default_workdir(config_flag: str) -> str:
    """Return the workdir of a run without `--workdir`: `runs/NAME-VALUES`.

    Args:
        config_flag: Value of `--config`, such as "configs/sbd.py:model=mst,size=base",
            which gives "runs/sbd-mst-base".
    """
    file_name, _, argument = config_flag.partition(":")
    values = [pair.rpartition("=")[2] for pair in argument.split(",") if pair]
    return "/".join(["runs", "-".join([Path(file_name).stem, *values])])


def make_parser() -> CommandParser:
    """Return the parser of all flags but the keys of the config."""
    parser = CommandParser(
        prog="python -m mst_jax.train",
        description="Train a model. The same command resumes an interrupted run.",
        epilog="--config.KEY=VALUE changes a key of the config, such as "
        "--config.steps=100 or --config.data.data_dir=DIR.",
    )
    parser.add_argument(
        "--config",
        required=True,
        metavar="FILE",
        help="config file, with its arguments if it has any, such as "
        "configs/sbd.py:model=mst,size=base",
    )
    parser.add_argument(
        "--workdir",
        metavar="DIR",
        help="folder of this run, or gs://BUCKET/DIR; default: runs/ and the name of the "
        "config with its arguments, such as runs/sbd-mst-base",
    )
    parser.add_argument(
        "--profile",
        metavar="START:STOP",
        help="trace the steps START + 1 to STOP, in the folder profile of the run",
    )
    parser.add_argument(
        "--wandb", metavar="PROJECT", help="also report to Weights & Biases"
    )
    add_cache_flag(parser)
    distributed.add_distributed_flags(parser)
    return parser


if __name__ == "__main__":
    main()

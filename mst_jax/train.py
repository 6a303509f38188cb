"""The training command: `python -m mst_jax.train --config FILE --workdir DIR`."""

import contextlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ml_collections import ConfigDict
from tqdm import tqdm

from mst_jax.atomic_io import PathLike, as_path, check_writable
from mst_jax.checkpoints import model_folder, store
from mst_jax.command_line import CommandParser
from mst_jax.config_options import as_json, call_with_options
from mst_jax.reporting.training_monitor import TrainingMonitor
from mst_jax.reporting.writers import import_wandb
from mst_jax.training import distributed, sharding, train_loop
from mst_jax.training.config import read_config
from mst_jax.training.metrics_log import DivergedError
from mst_jax.training.preemption import (
    EXIT_CODES,
    EXIT_FAILED,
    install_signal_handlers,
)
from mst_jax.training.telemetry import (
    PROFILE_DIR,
    make_profiler,
    parse_profile_range,
)
from mst_jax.training.train_loop import LoopOptions, StepCallback
from mst_jax.training.train_state import (
    TrainState,
    init_params_from,
    restore_latest,
    resume_tree,
)
from mst_jax.training.train_step import Metrics
from mst_jax.training.training_run import TrainingRun, build_run, open_data
from mst_jax.training.workdir import check_same_model, claim_workdir


def train(
    config: ConfigDict,
    workdir: PathLike,
    *,
    should_stop: Callable[[], int] = lambda: 0,
    profile: str | None = None,
    wandb_project: str | None = None,
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

    Returns:
        The last state.

    Raises:
        ValueError: A wrong config, a dataset that is not prepared, or a workdir that
            holds a run of another model, is in use or cannot be written to.
        OSError: The disk is full or has failed.
        DivergedError: The loss is not finite; the message names the step.
    """
    # 1. Everything that can be wrong is checked before anything is written.
    check_writable(workdir / model_folder.CONFIG_FILE)
    if wandb_project:
        import_wandb()
    run = build_run(config)
    options = run.options
    profile_range = parse_profile_range(profile, options.steps) if profile else None
    check_same_model(workdir, config)
    state = _warm_started_state(run, workdir)
    batches = call_with_options(open_data, "config.data", options, **options.data)
    monitor = TrainingMonitor(run, config)
    with (
        claim_workdir(workdir, config),
        store.open_checkpoints(
            workdir, keep_checkpoints=options.keep_checkpoints
        ) as manager,
    ):
        # 2. Resume; the main process writes the config and the logs from here on.
        state = restore_latest(manager, state, batches)
        is_main, first_step = distributed.is_main_process(), int(state.step)
        if is_main:
            model_folder.write_config_json(workdir, as_json(config.to_dict()))
        progress_bar = _open_progress_bar(workdir, options.steps, first_step)
        monitor.open_writers(
            workdir,
            start_step=first_step,
            wandb_project=wandb_project,
            progress_bar=progress_bar,
        )
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
        with (
            progress_bar,
            contextlib.closing(monitor),
            distributed.abort_all_on_error(workdir),
        ):
            return train_loop.run_train_loop(
                partial(_run_step, run),
                state,
                batches,
                LoopOptions(options.steps, options.log_every, options.checkpoint_every),
                on_log=monitor.on_log,
                on_checkpoint=on_checkpoint,
                callbacks=monitor.callbacks,
                should_stop=distributed.sync_stop_signal(should_stop),
            )


def _warm_started_state(run: TrainingRun, workdir: PathLike) -> TrainState:
    """Return the first state, with the parameters of `config.init_from` if it is set.

    Args:
        run: Run before its first step.
        workdir: Workdir of the run. If it has checkpoints, the run resumes them, and
            `config.init_from` is not read.
    """
    path = run.options.init_from
    if not path or store.list_steps(workdir):
        return run.state
    state = init_params_from(run.state, path, reinit=run.options.reinit)
    # The file's arrays are whole on the host; those of the run may be sharded.
    return sharding.shard_tree(state, run.shardings)


def _run_step(
    run: TrainingRun, state: TrainState, batch: train_loop.HostBatch
) -> tuple[TrainState, Metrics]:
    """Run a training step with the batches of all processes."""
    return run.train_step(state, sharding.shard_batch(run.layout, batch))


def _open_progress_bar(workdir: PathLike, num_steps: int, first_step: int) -> tqdm:
    """Open a progress bar on stderr; only the main process shows it.

    Args:
        workdir: Workdir of the run, the bar's title.
        num_steps: Number of updates of the whole run.
        first_step: Step that the run resumes after.
    """
    return tqdm(
        total=num_steps,
        initial=first_step,
        unit="step",
        desc=str(workdir),
        disable=not distributed.is_main_process(),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the training command.

    Args:
        argv: Words of the command line; None = those of this process.
    """
    parser = make_parser()
    command_flags, config_flags = parser.parse_known_args(argv)
    # Before JAX starts: a signal while the step compiles must save as well.
    exit_code = install_signal_handlers()
    try:
        config = read_config(["--config", command_flags.config, *config_flags])
        distributed.join_processes(
            command_flags.coordinator,
            command_flags.num_processes,
            command_flags.process_id,
        )
        state = train(
            config,
            as_path(command_flags.workdir),
            should_stop=exit_code,
            profile=command_flags.profile,
            wandb_project=command_flags.wandb,
        )
    # Errors of users and machines are one sentence; bugs have a traceback.
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        sys.stderr.write(
            f"the run in {command_flags.workdir} failed: {error}; when that is put "
            "right the same command resumes it\n"
        )
        sys.exit(EXIT_FAILED)
    except DivergedError as error:
        sys.stderr.write(
            f"{error}; the checkpoints before it are kept in {command_flags.workdir}; "
            "lower config.optimizer.learning_rate or set clip_norm and start again, "
            "from an earlier checkpoint if you remove the newest\n"
        )
        sys.exit(EXIT_FAILED)
    # Ended early: the exit code informs a launch script whether to restart.
    num_steps = config.to_dict()["steps"]
    if int(state.step) < num_steps:
        sys.stderr.write(
            f"stopped at step {int(state.step)} of {num_steps}, saved in "
            f"{command_flags.workdir}; the same command resumes it\n"
        )
        # Without a signal in this process, another process of the run has got one.
        sys.exit(exit_code() or EXIT_CODES[signal.SIGTERM])


def make_parser() -> CommandParser:
    """Return the parser of all flags but the keys of the config."""
    parser = CommandParser(
        prog="python -m mst_jax.train",
        description="Train a model. The same command resumes an interrupted run.",
        epilog="--config.KEY=VALUE changes a key of the config, such as "
        "--config.steps=100 or --config.data.data_dir=DIR.",
    )
    parser.add_argument(
        "--config", required=True, metavar="FILE", help="such as configs/quickstart.py"
    )
    parser.add_argument(
        "--workdir",
        required=True,
        metavar="DIR",
        help="folder of this run, or gs://BUCKET/DIR",
    )
    parser.add_argument("--profile", metavar="START:STOP", help="trace these steps")
    parser.add_argument(
        "--wandb", metavar="PROJECT", help="report to Weights & Biases as well"
    )
    distributed.add_distributed_flags(parser)
    return parser


if __name__ == "__main__":
    main()

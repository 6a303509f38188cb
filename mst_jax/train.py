"""Config to trained model: `python -m mst_jax.train --config FILE --workdir DIR`."""

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ml_collections import ConfigDict
from tqdm import tqdm

from mst_jax import config_options
from mst_jax.atomic_io import Place, check_room, place_of
from mst_jax.checkpoints import store
from mst_jax.reporting.training_monitor import Watch
from mst_jax.reporting.writers import import_wandb
from mst_jax.structs import TrainState
from mst_jax.training import distributed, metrics_log, sharding, train_loop
from mst_jax.training.config import read_config
from mst_jax.training.preemption import CODES, listen
from mst_jax.training.profiler import PROFILE, make_profiler, read_range
from mst_jax.training.resume import resume, start_params, without_params
from mst_jax.training.setup import build_run, open_data
from mst_jax.training.workdir import check_same_model, taken

# Wrong use is argparse's 2; see `stop.CODES` for a run that was told to stop.
FAILED = 1


def train(
    config: ConfigDict,
    workdir: Place,
    *,
    should_stop: Callable[[], int] = lambda: 0,
    profile: str = "",
    project: str = "",
) -> TrainState:
    """Trains the model of a config, from the newest checkpoint in `workdir` if any.

    Args:
        config: see `configs/`.
        workdir: gets `config.json`, `metrics.jsonl`, `checkpoints/`, `tensorboard/`,
            `pictures/` and `profile/`, see docs/training.md.
        should_stop: asked after each step; all but 0 saves and ends the run early.
        profile: START:STOP, the steps that are traced; empty: none.
        project: of Weights & Biases; empty: not told.

    Returns:
        The last state.

    Raises:
        ValueError: a wrong config, data that are not prepared, a run of another model, a
            workdir where another run is at work or that cannot be written to.
        OSError: the disk is full, or gone.
        report.Diverged: the loss is not finite; names the step.
    """
    check_room(workdir / store.CONFIG)
    traced = read_range(profile, config.steps) if profile else None
    if project:
        import_wandb()
    run = build_run(config)
    check_same_model(workdir, config)
    state = run.state
    if config.start and not store.steps_of(workdir):
        state = start_params(state, config.start, fresh=config.fresh)
        state = sharding.put(state, run.shardings)
    batches = config_options.call(
        open_data, "config.data", config, **config.data.to_dict()
    )
    watch = Watch(run, config)
    with (
        taken(workdir, config),
        store.open_checkpoints(workdir, num_kept=config.num_kept) as manager,
    ):
        state = resume(manager, state, batches)
        writes, first = distributed.is_first(), int(state.step)
        if writes:
            store.write_config(workdir, config_options.as_json(config.to_dict()))
        bar = tqdm(
            total=config.steps,
            initial=first,
            unit="step",
            desc=str(workdir),
            disable=not writes,
        )

        watch.begin(workdir, first=first, project=project, bar=bar)
        if traced and writes:
            watch.watchers.append(make_profiler(workdir / PROFILE, *traced))

        def on_checkpoint(step: int, state: TrainState, _: Mapping) -> None:
            rest = without_params(state)
            found = watch.measured_at(step)
            store.save(manager, step, state.best_params, rest, batches, metrics=found)

        with bar, contextlib.closing(watch), distributed.ending_together(workdir):
            return train_loop.run(
                run.update,
                state,
                batches,
                steps=config.steps,
                log_every=config.log_every,
                checkpoint_every=config.checkpoint_every,
                on_log=watch.on_log,
                on_checkpoint=on_checkpoint,
                watchers=watch.watchers,
                put=partial(sharding.put_batch, run.layout),
                should_stop=distributed.together(should_stop),
            )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mst_jax.train",
        description="Trains a model. The same command again goes on where it stopped.",
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
        help="of this run, or gs://BUCKET/DIR",
    )
    parser.add_argument(
        "--profile", metavar="START:STOP", default="", help="trace these steps"
    )
    parser.add_argument(
        "--wandb", metavar="PROJECT", default="", help="tell Weights & Biases too"
    )
    distributed.add_flags(parser)
    known, changes = parser.parse_known_args(argv)
    told = listen()
    try:
        config = read_config(["--config", known.config, *changes])
        distributed.join(known.coordinator, known.num_processes, known.process_id)
        state = train(
            config,
            place_of(known.workdir),
            should_stop=told,
            profile=known.profile,
            project=known.wandb,
        )
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        sys.stderr.write(
            f"the run in {known.workdir} failed: {error}; when that is put right the same "
            "command goes on\n"
        )
        sys.exit(FAILED)
    except metrics_log.Diverged as error:
        sys.stderr.write(
            f"{error}; the checkpoints before it are kept in {known.workdir}; lower "
            "config.optimizer.learning_rate or set clip_norm and start again, from an "
            "earlier checkpoint if you remove the newest\n"
        )
        sys.exit(FAILED)
    if int(state.step) < config.steps:
        sys.stderr.write(
            f"stopped at step {int(state.step)} of {config.steps}, saved in "
            f"{known.workdir}; the same command goes on\n"
        )
        # Nothing heard here: another process of the run was told.
        sys.exit(told() or CODES[signal.SIGTERM])


if __name__ == "__main__":
    main()

"""Config to trained model: `python -m mst_jax.train --config FILE --workdir DIR`."""

import argparse
import dataclasses
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from absl import flags
from ml_collections import ConfigDict, config_flags
from tqdm import tqdm

from mst_jax import settings
from mst_jax.checkpoints import store
from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.pipeline import training_batches
from mst_jax.data.store import list_sets, open_source, write_set
from mst_jax.interaction.view import choose_view
from mst_jax.losses.total import check_outputs, check_terms
from mst_jax.models.build import build
from mst_jax.models.start import start_from
from mst_jax.structs import Clicks, TrainState
from mst_jax.training import loop, report
from mst_jax.training.optimizer import make_optimizer
from mst_jax.training.state import start_state
from mst_jax.training.step import StepFunction, make_step

# Every key of a config and its kind; blocks go whole to the function that reads them.
KEYS = {
    "seed": int,
    "start": str,
    "steps": int,
    "batch": int,
    "crop": int,
    "log_every": int,
    "checkpoint_every": int,
    "num_kept": int,
    "model": ConfigDict,
    "data": ConfigDict,
    "clicks": ConfigDict,
    "losses": ConfigDict,
    "optimizer": ConfigDict,
    "evaluation": ConfigDict,
}

# Wrong use is argparse's 2; a run that Ctrl-C stopped may go on.
FAILED, STOPPED = 1, 130


def read_config(arguments: Sequence[str]) -> ConfigDict:
    """Reads `--config FILE[:ARGUMENT]` and changes like `--config.steps=10`.

    Raises:
        ValueError: no such file, no such key, a value of another kind.
    """
    values = flags.FlagValues()
    command = ["train", *arguments]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=command)
    try:
        unused, config = values(command)[1:], values.config
        if config is not None:
            config.keys()  # a file that cannot be read fails when it is asked
    except (flags.Error, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the config cannot be read: {reason}") from None
    except (AttributeError, KeyError) as error:
        # The message is a quoted sentence that begins with the quoted key.
        key = re.search(r"\w+", str(error))[0]
        raise ValueError(f"the config has no key {key!r}; see its file") from None
    if unused or config is None:
        raise ValueError(
            f"expected --config FILE and changes like --config.steps=10, got "
            f"{' '.join(arguments) or 'nothing'}"
        )
    return config


def build_run(config: ConfigDict) -> tuple[TrainState, StepFunction]:
    """Builds the first state and the update that a config describes.

    Raises:
        ValueError: a key or value that nobody understands; says which.
    """
    settings.check_keys("the config", config, KEYS)
    for name, kind in KEYS.items():
        if not isinstance(config[name], kind):
            raise ValueError(
                f"config.{name} is {config[name]!r}, expected {kind.__name__}"
            )
    for name in ("steps", "batch", "crop", "log_every", "checkpoint_every", "num_kept"):
        if config[name] < 1:
            raise ValueError(f"config.{name} is {config[name]}, expected 1 or more")
    choose_view({"evaluation": config.evaluation.to_dict()})
    losses = config.losses.to_dict()
    check_terms(losses)
    module = settings.call(build, "config.model", **config.model.to_dict())
    optimizer, schedule = settings.call(
        make_optimizer, "config.optimizer", config.steps, **config.optimizer
    )
    update = settings.call(
        make_step,
        "config.clicks",
        module,
        optimizer,
        schedule,
        losses,
        **config.clicks,
    )
    shape = (1, config.crop, config.crop)
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    given = (jnp.zeros((*shape, 3)), Clicks.empty(1, num_slots=1), jnp.zeros(shape))
    outputs, _ = jax.eval_shape(module.init_with_output, init_key, *given)
    check_outputs(losses, outputs)
    variables = jax.jit(module.init)(init_key, *given)
    return start_state(variables["params"], optimizer, run_key), update


def open_data(
    config: ConfigDict,
    *,
    name: str,
    data_dir: str,
    split: str = "train",
    **reading: object,
) -> grain.DatasetIterator:
    """Opens the stream of batches; drawn scenes that are not there yet are drawn."""
    if name == Shapes.name and name not in list_sets(data_dir):
        tqdm.write(f"drawing scenes into {data_dir}", sys.stderr)
        write_set(lambda folder: Shapes(data_dir=folder), name, data_dir)
    return settings.call(
        training_batches,
        "config.data",
        open_source(name, data_dir, split),
        batch=config.batch,
        crop=config.crop,
        seed=config.seed,
        **reading,
    )


def check_same_model(workdir: Path, config: ConfigDict) -> None:
    """Raises ValueError if a run of another model lives in `workdir`."""
    if not (workdir / store.CONFIG).exists():
        return
    before, now = store.read_config(workdir).get("model"), config.model.to_dict()
    if before != settings.as_json(now):
        raise ValueError(
            f"{workdir} holds a run of the model {before}, the config says {now}; use "
            "the config of that run or another --workdir"
        )


def start_params(state: TrainState, path: str) -> TrainState:
    """Puts another model's parameters in the place of the fresh ones, where they fit.

    Raises:
        ValueError: they cannot be read, or do not fit.
    """
    params, account = start_from(state.params, path)
    tqdm.write(f"starting from {path}\n{account}", sys.stderr)
    return dataclasses.replace(state, params=params)


def without_params(state: TrainState) -> dict:
    """What a checkpoint holds besides the params; the step is its name."""
    return {"optimizer": state.optimizer, "key": jax.random.key_data(state.key)}


def resume(
    manager: ocp.CheckpointManager, state: TrainState, batches: grain.DatasetIterator
) -> TrainState:
    """Returns the newest checkpoint's state and moves the loader to its position."""
    newest = manager.latest_step()
    if newest is None:
        return state
    params, training = store.restore(
        manager, newest, state.params, without_params(state), batches
    )
    return TrainState(
        step=jnp.int32(newest),
        params=params,
        optimizer=training["optimizer"],
        key=jax.random.wrap_key_data(training["key"]),
    )


def train(
    config: ConfigDict,
    workdir: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainState:
    """Trains the model of a config, from the newest checkpoint in `workdir` if any.

    Args:
        config: see `configs/`.
        workdir: gets `config.json`, `metrics.jsonl` and `checkpoints/`.
        should_stop: asked after each step; True saves and ends the run early.

    Returns:
        The last state.

    Raises:
        ValueError: a wrong config, data that are not prepared, a run of another model.
        report.Diverged: the loss is not finite; names the step.
    """
    state, update = build_run(config)
    check_same_model(workdir, config)
    if config.start and not store.steps_of(workdir):
        state = start_params(state, config.start)
    batches = settings.call(open_data, "config.data", config, **config.data.to_dict())
    workdir.mkdir(parents=True, exist_ok=True)
    with store.open_checkpoints(workdir, num_kept=config.num_kept) as manager:
        state = resume(manager, state, batches)
        store.write_config(workdir, settings.as_json(config.to_dict()))
        first = int(state.step)
        metrics = workdir / report.METRICS
        report.keep_until(metrics, step=first)
        bar = tqdm(total=config.steps, initial=first, unit="step", desc=str(workdir))

        def on_log(step: int, _: TrainState, means: Mapping[str, float]) -> None:
            report.write_line(metrics, step, means)
            bar.update(step - bar.n)
            bar.set_postfix(loss=f"{means['loss']:.4f}", iou=f"{means['iou']:.3f}")

        def on_checkpoint(step: int, state: TrainState, _: Mapping) -> None:
            store.save(manager, step, state.params, without_params(state), batches)

        with bar:
            return loop.run(
                update,
                state,
                batches,
                steps=config.steps,
                log_every=config.log_every,
                checkpoint_every=config.checkpoint_every,
                on_log=on_log,
                on_checkpoint=on_checkpoint,
                should_stop=should_stop,
            )


def stop_on_interrupt() -> Callable[[], bool]:
    """Lets the first Ctrl-C end the run after its step; the second one is as usual.

    Returns:
        Has Ctrl-C been pressed?
    """
    pressed = []

    def on_interrupt(number: int, _: object) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, before)
        tqdm.write("saving after this step; Ctrl-C again stops at once", sys.stderr)

    before = signal.signal(signal.SIGINT, on_interrupt)
    return lambda: bool(pressed)


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
        "--workdir", required=True, metavar="DIR", type=Path, help="of this run"
    )
    known, changes = parser.parse_known_args(argv)
    should_stop = stop_on_interrupt()
    try:
        config = read_config(["--config", known.config, *changes])
        state = train(config, known.workdir, should_stop=should_stop)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except report.Diverged as error:
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
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()

"""What people see of a run under way: numbers, pictures, validation."""

import dataclasses
import sys
import time
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from ml_collections import ConfigDict, FrozenConfigDict
from tqdm import tqdm

from mst_jax import config_options
from mst_jax.atomic_io import Place
from mst_jax.checkpoints.store import BEST_BY
from mst_jax.evaluation.evaluation_task import Task
from mst_jax.evaluation.validation import click_sums, means_of, plan_validation
from mst_jax.interaction.inference_options import choose_view
from mst_jax.models.load import TrainedModel
from mst_jax.reporting.training_preview import draw_look
from mst_jax.reporting.training_samples import make_look
from mst_jax.reporting.writers import (
    TENSORBOARD,
    Folder,
    TensorBoard,
    WeightsAndBiases,
    Writer,
)
from mst_jax.structs import Batch, TrainState
from mst_jax.training import devices, distributed, sharding, train_loop
from mst_jax.training.setup import Run
from mst_jax.training.train_loop import Watcher


class Watch:
    """Looks at a run and hands what it sees to the writers.

    Every process has one and does the same, for the devices work together; only the first
    has writers.

    Attributes:
        watchers: for `loop.run`.
    """

    def __init__(self, run: Run, config: ConfigDict) -> None:
        """Reads the config's blocks `watching` and `validation`.

        Raises:
            ValueError: a wrong key or value, no such set.
        """
        self._run, self._config = run, config
        self._writers: Sequence[Writer] = ()
        self._measured: dict[int, float] = {}
        self._flops = None
        call = config_options.call
        self.watchers: list[Watcher] = [
            *call(self._plan_pictures, "config.watching", **config.watching),
            *call(self._plan_validation, "config.validation", **config.validation),
        ]

    def begin(self, workdir: Place, *, first: int, project: str, bar: tqdm) -> None:
        """Opens the writers of the first process.

        Args:
            workdir: of the run.
            first: the step that the run goes on from.
            project: of Weights & Biases; empty: not told.
            bar: moves with the steps.
        """
        self._bar = bar
        if devices.peak_of(jax.local_devices()[0].device_kind):
            self.watchers.append((lambda step: step == first + 1, self._count))
        if not distributed.is_first():
            return
        self._writers = [Folder(workdir, first=first)]
        if self._boards:
            self._writers.append(TensorBoard(workdir / TENSORBOARD, first=first))
        if project:
            config = config_options.as_json(self._config.to_dict())
            self._writers.append(
                WeightsAndBiases(workdir, project=project, config=config)
            )

    def close(self) -> None:
        """Closes the writers."""
        for writer in self._writers:
            writer.close()

    def _plan_pictures(
        self, *, tensorboard: bool, pictures_every: int, num_pictures: int
    ) -> list[Watcher]:
        """Pictures every so many steps, of so many examples; 0: none."""
        self._boards = tensorboard
        if pictures_every < 0 or num_pictures < 1:
            raise ValueError(
                f"config.watching has pictures_every {pictures_every} and num_pictures "
                f"{num_pictures}, expected 0 or more and 1 or more"
            )
        self._num_pictures = num_pictures
        self._look = make_look(self._run.module, **self._config.clicks)
        return [(train_loop.every(pictures_every), self._draw)]

    def _plan_validation(
        self, *, name: str, every: int, **block: object
    ) -> list[Watcher]:
        """Validation every so many steps; none without a name."""
        config = self._config
        if not name:
            return []
        if every < 1 or every % config.checkpoint_every:
            raise ValueError(
                f"config.validation.every is {every}, expected a multiple of "
                f"config.checkpoint_every {config.checkpoint_every}: what is measured is "
                "what is kept"
            )
        view = choose_view({"evaluation": config.evaluation.to_dict()})
        self._task: Task = config_options.call(
            plan_validation, "config.validation", view, name=name, **block
        )
        told = FrozenConfigDict({"model": config.model.to_dict()})
        self._model = TrainedModel({}, self._run.module, told)
        return [(train_loop.every(every), self._validate)]

    def on_log(self, step: int, _: TrainState, means: Mapping[str, float]) -> None:
        """Hands numbers on; see `loop.run`."""
        busy = devices.utilization(self._flops, means["step_seconds"])
        self._tell(step, {**means, **devices.memory_in_use(), **busy})
        self._bar.update(step - self._bar.n)
        self._bar.set_postfix(loss=f"{means['loss']:.4f}", iou=f"{means['iou']:.3f}")

    def measured_at(self, step: int) -> dict[str, float]:
        """What validation found at this step, by which the best checkpoint is kept."""
        return {BEST_BY: self._measured[step]} if step in self._measured else {}

    def _tell(self, step: int, numbers: Mapping[str, float]) -> None:
        for writer in self._writers:
            writer.numbers(step, numbers)

    def _count(
        self, _: int, state: TrainState, batch: Mapping[str, np.ndarray]
    ) -> None:
        """Counts what a step costs, once."""
        whole = sharding.put_batch(self._run.layout, batch)
        self._flops = devices.flops_of(
            self._run.update, state, whole, accumulate=self._config.accumulate
        )

    def _draw(self, step: int, state: TrainState, batch: Mapping) -> None:
        """Draws a few examples of this batch."""
        params = sharding.local_copy(self._run.layout, state.best_params)
        if not self._writers:
            return
        few = {name: x[: self._num_pictures] for name, x in batch.items()}
        picture = draw_look(self._look(params, Batch(**few), jax.random.key(step)))
        for writer in self._writers:
            writer.picture(step, picture)

    def _validate(self, step: int, state: TrainState, _: Mapping) -> None:
        """Lets users click at the model as it is now."""
        begin = time.perf_counter()
        params = sharding.local_copy(self._run.layout, state.best_params)
        model = dataclasses.replace(self._model, params=params)
        sums = click_sums(model, self._task, shard=distributed.shard())
        found = means_of(distributed.added(sums), self._task)
        quality = round(100 * self._task.stop_iou)
        self._measured = {step: found[f"validation_noc{quality}"]}
        seconds = {"validation_seconds": time.perf_counter() - begin}
        self._tell(step, found | seconds)
        if self._writers:
            self._bar.write(
                f"step {step}: NoC@{quality} {self._measured[step]:.2f}", sys.stderr
            )

"""Monitor a training run: log metrics, draw images, validate the current model."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import ConfigDict, FrozenConfigDict

from mst_jax.atomic_io import PathLike
from mst_jax.checkpoints.store import BEST_METRIC
from mst_jax.config_options import as_json, options_from_config
from mst_jax.evaluation.evaluation_task import EvaluationTask
from mst_jax.evaluation.validation import (
    ValidationOptions,
    make_validation_task,
    mean_metrics,
    validation_sums,
)
from mst_jax.models.load import TrainedModel
from mst_jax.reporting.training_preview import draw_examples
from mst_jax.reporting.training_progress import TrainingProgress
from mst_jax.reporting.training_samples import make_visualization_fn
from mst_jax.reporting.writers import (
    TENSORBOARD_DIR,
    FolderWriter,
    MetricWriter,
    TensorBoardWriter,
    WandbWriter,
)
from mst_jax.structs import Batch
from mst_jax.training import distributed, sharding, telemetry
from mst_jax.training.train_loop import HostBatch, StepCallback, every_n_steps
from mst_jax.training.train_state import TrainState
from mst_jax.training.training_run import RunPlan, TrainingRun


@dataclasses.dataclass(frozen=True)
class SummaryOptions:
    """The block `summaries` of a config: what is drawn and written during training.

    Attributes:
        tensorboard: Write TensorBoard event files.
        images_every: Steps between two images of training examples; 0 = no images.
        num_images: Number of examples in an image.
    """

    tensorboard: bool = True
    images_every: int = 1000
    num_images: int = 4

    def __post_init__(self) -> None:
        if self.images_every < 0:
            raise ValueError(f"images_every is {self.images_every}, expected 0 or more")
        if self.num_images < 1:
            raise ValueError(f"num_images is {self.num_images}, expected 1 or more")


class TrainingMonitor:
    """Callbacks of the training loop that validate, draw and write.

    Every process has a monitor and runs the same callbacks, because the devices compute
    together; only the main process has writers.

    Attributes:
        callbacks: Callbacks for `train_loop.run_train_loop`.
        remark: One sentence if the run is too short for a validation, else None.
    """

    def __init__(self, plan: RunPlan, config: ConfigDict) -> None:
        """Read the blocks `summaries` and `validation`.

        Args:
            plan: Plan of the run.
            config: Config of the run.

        Raises:
            ValueError: A wrong key or value, or a dataset that is not prepared.
        """
        self._plan, self._config = plan, config
        self._writers: list[MetricWriter] = []
        self._best_metrics: dict[int, float] = {}
        self._step_flops: float | None = None
        self.remark: str | None = None
        self._summaries = options_from_config(
            SummaryOptions, "config.summaries", plan.options.summaries
        )
        self._visualize = make_visualization_fn(plan.module, plan.options.clicks)
        images_due = every_n_steps(self._summaries.images_every)
        self.callbacks = [StepCallback(images_due, self._draw_images)]
        self._plan_validation()

    def _plan_validation(self) -> None:
        """Add the callback of validation; none without a dataset."""
        run_options = self._plan.options
        options = options_from_config(
            ValidationOptions, "config.validation", run_options.validation
        )
        task = make_validation_task(options, run_options.zoom)
        if task is None:
            return
        if options.every % run_options.checkpoint_every:
            raise ValueError(
                f"config.validation.every is {options.every}, expected a multiple of "
                f"config.checkpoint_every {run_options.checkpoint_every}, such as "
                f"{run_options.checkpoint_every}, so that each validated model is saved"
            )
        # Only the parameters change between validations: the program is compiled once.
        model_config = FrozenConfigDict({"model": dict(run_options.model)})
        untrained_model = TrainedModel({}, self._plan.module, model_config)

        def validate_step(step: int, state: TrainState, _: HostBatch) -> None:
            self._validate_model(step, state, task, untrained_model)

        is_due = every_n_steps(options.every)

        # The last step has a checkpoint too, and is the model that is used.
        def is_due_or_last(step: int) -> bool:
            return is_due(step) or step == run_options.steps

        self.callbacks.append(StepCallback(is_due_or_last, validate_step))
        if options.every > run_options.steps:
            self.remark = (
                f"remark: config.validation.every is {options.every}, more than the "
                f"{run_options.steps} steps, so only the last step is validated"
            )

    def open_writers(
        self,
        workdir: PathLike,
        run: TrainingRun,
        progress: TrainingProgress,
        *,
        wandb_project: str | None,
    ) -> None:
        """Open the writers of the main process.

        Args:
            workdir: Workdir of the run.
            run: Run that starts or resumes.
            progress: Output on stderr.
            wandb_project: Project of Weights & Biases; None = no report there.
        """
        self._progress, self._train_step = progress, run.train_step
        start_step = int(run.state.step)
        # FLOP are counted only where the peak is known, once, after the first step.
        if telemetry.peak_flops(jax.local_devices()[0].device_kind):

            def is_first_step(step: int) -> bool:
                return step == start_step + 1

            self.callbacks.append(StepCallback(is_first_step, self._count_flops))
        if not distributed.is_main_process():
            return
        # The workdir always gets metrics and images; the other writers are options.
        self._writers = [FolderWriter(workdir, start_step=start_step)]
        if self._summaries.tensorboard:
            tensorboard_dir = workdir / TENSORBOARD_DIR
            self._writers.append(
                TensorBoardWriter(tensorboard_dir, start_step=start_step)
            )
        if wandb_project:
            config = as_json(self._config.to_dict())
            self._writers.append(
                WandbWriter(workdir, project=wandb_project, config=config)
            )

    def close(self) -> None:
        """Close the writers."""
        for writer in self._writers:
            writer.close()

    def on_log(
        self, step: int, _: TrainState, step_metrics: Mapping[str, float]
    ) -> None:
        """Write metrics and show the loss.

        Args:
            step: Step of the run.
            step_metrics: Means of the metrics since the last call.
        """
        mfu_metrics = telemetry.mfu_metric(
            self._step_flops, step_metrics["step_seconds"]
        )
        memory_metrics = telemetry.memory_metric()
        self._write_metrics(step, {**step_metrics, **memory_metrics, **mfu_metrics})
        self._progress.show_metrics(step_metrics)

    def checkpoint_metrics(self, step: int) -> dict[str, float]:
        """Return the metric that decides which checkpoint is the best.

        Args:
            step: Step of the checkpoint.

        Returns:
            The NoC of the validation at this step; empty without validation.
        """
        if step not in self._best_metrics:
            return {}
        return {BEST_METRIC: self._best_metrics[step]}

    def _write_metrics(self, step: int, all_metrics: Mapping[str, float]) -> None:
        """Pass metrics to all writers."""
        for writer in self._writers:
            writer.write_metrics(step, all_metrics)

    def _count_flops(self, _: int, state: TrainState, batch: HostBatch) -> None:
        """Count the FLOP of a training step."""
        global_batch = sharding.shard_batch(self._plan.layout, batch)
        self._step_flops = telemetry.count_step_flops(
            self._train_step, state, global_batch
        )

    def _draw_images(self, step: int, state: TrainState, batch: HostBatch) -> None:
        """Draw a few examples of the last batch."""
        # All processes take part in gathering the parameters; then one draws.
        local_params = sharding.gather_to_local_device(
            self._plan.layout, state.eval_params
        )
        if not self._writers:
            return
        # The key depends on the step only, so a resumed run draws the same clicks.
        num_images = self._summaries.num_images
        few_examples: Any = {
            name: batch_array[:num_images] for name, batch_array in batch.items()
        }
        predicted_examples = self._visualize(
            local_params, Batch(**few_examples), jax.random.key(step)
        )
        examples_image = draw_examples(predicted_examples)
        for writer in self._writers:
            writer.write_image(step, examples_image)

    def _validate_model(
        self,
        step: int,
        state: TrainState,
        task: EvaluationTask,
        untrained_model: TrainedModel,
    ) -> None:
        """Evaluate the current model; each process takes a part of the objects."""
        start_time = time.perf_counter()
        # 1. Every process sums over its objects, then the sums are added.
        local_params = sharding.gather_to_local_device(
            self._plan.layout, state.eval_params
        )
        current_model = dataclasses.replace(untrained_model, params=local_params)
        local_sums = validation_sums(
            current_model, task, shard=distributed.process_shard()
        )
        global_sums = distributed.sum_over_processes(local_sums)
        all_metrics = mean_metrics(global_sums, task)
        # 2. The NoC at the highest target IoU ranks the checkpoints.
        iou_percent = round(100 * task.stop_iou)
        # Only the last validation counts: its step is saved right after it.
        target_noc = all_metrics[f"validation_noc{iou_percent}"]
        self._best_metrics = {step: target_noc}
        all_metrics["validation_seconds"] = time.perf_counter() - start_time
        self._write_metrics(step, all_metrics)
        if self._writers:
            self._progress.write(f"step {step}: NoC@{iou_percent} {target_noc:.2f}")

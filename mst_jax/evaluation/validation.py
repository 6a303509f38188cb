"""Measure during training how many clicks the current model needs."""

import dataclasses
import itertools
from collections.abc import Mapping

from mst_jax.evaluation.batched import simulate_batched
from mst_jax.evaluation.evaluation_task import EvaluationTask, default_batch_size
from mst_jax.evaluation.metrics import clicks_needed
from mst_jax.evaluation.protocol import EvaluationProtocol
from mst_jax.evaluation.summary import IOU_PERCENTS
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.zoom_predict import ClickModelFn


@dataclasses.dataclass(frozen=True)
class ValidationOptions:
    """The block `validation` of a config: what is evaluated during training, and when.

    Attributes:
        name: Name of a prepared dataset; None = no validation.
        data_dir: Folder of the prepared datasets.
        split: Split of the dataset.
        limit: Maximum number of objects, the first ones; 0 = all.
        every: Steps between two validations; a multiple of `config.checkpoint_every`, so
            that each validated model is saved. The last step is always validated.
        max_clicks: Number of clicks after which a session ends.
        iou_percent: Target IoU in percent; sessions end when it is reached, and its NoC
            decides which checkpoint is the best.
    """

    name: str | None = None
    data_dir: str = "data"
    split: str = "val"
    limit: int = 500
    every: int = 1000
    max_clicks: int = 20
    iou_percent: int = 90

    def __post_init__(self) -> None:
        if self.iou_percent not in IOU_PERCENTS:
            raise ValueError(
                f"iou_percent is {self.iou_percent}, choose one of "
                f"{', '.join(map(str, IOU_PERCENTS))}"
            )
        for name, minimum in (("limit", 0), ("every", 1), ("max_clicks", 1)):
            value = getattr(self, name)
            if value < minimum:
                raise ValueError(f"{name} is {value}, expected {minimum} or more")


def make_validation_task(
    options: ValidationOptions, zoom: ZoomOptions
) -> EvaluationTask | None:
    """Make the task of a validation; its dataset can be opened.

    Args:
        options: The block `validation` of the config.
        zoom: Zoom on the object and test-time augmentation.

    Returns:
        The task; None without a dataset.

    Raises:
        ValueError: There is no such dataset or split.
    """
    if options.name is None:
        return None
    task = EvaluationTask(
        dataset=options.name,
        data_dir=options.data_dir,
        split=options.split,
        limit=options.limit or None,
        stop_iou=options.iou_percent / 100,
        protocol=EvaluationProtocol(max_clicks=options.max_clicks, zoom=zoom),
    )
    # A missing dataset fails now rather than at the first validation.
    task.open_dataset()
    return task


def validation_sums(
    model: ClickModelFn, task: EvaluationTask, *, shard: tuple[int, int] = (0, 1)
) -> dict[str, float]:
    """Run the sessions of this process and sum their metrics.

    The compiled program is that of `evaluate`; a model with the same module and other
    parameters runs in the same program.

    Args:
        model: Model to validate, see `batched.simulate_batched`.
        task: Objects and protocol.
        shard: Index of this process and number of processes; this process takes every
            n-th object, and the sums of all processes add up to those of one.

    Returns:
        Sums over the objects: `objects`, their number; `noc80`, `noc85` ..., the clicks
        needed, up to the IoU at which sessions end; `iou1`, the IoU after the first click.
    """
    iou_percents = [
        iou_percent
        for iou_percent in IOU_PERCENTS
        if iou_percent / 100 <= task.stop_iou
    ]
    metric_sums = {"objects": 0.0}
    metric_sums |= {f"noc{iou_percent}": 0.0 for iou_percent in iou_percents}
    metric_sums["iou1"] = 0.0
    # Every n-th object: neighbors in a dataset often have the same size and difficulty,
    # so the processes finish at about the same time.
    process_index, num_processes = shard
    all_targets = task.iterate_targets(task.open_dataset())
    finished_sessions = simulate_batched(
        model,
        itertools.islice(all_targets, process_index, None, num_processes),
        batch_size=default_batch_size(),
        stop_iou=task.stop_iou,
        protocol=task.protocol,
    )
    # Sums, not means: the processes may have different numbers of objects.
    for _, session in finished_sessions:
        metric_sums["objects"] += 1
        metric_sums["iou1"] += float(session.ious[0])
        for iou_percent in iou_percents:
            metric_sums[f"noc{iou_percent}"] += clicks_needed(
                session.ious,
                target_iou=iou_percent / 100,
                max_clicks=task.protocol.max_clicks,
            )
    return metric_sums


def mean_metrics(
    metric_sums: Mapping[str, float], task: EvaluationTask
) -> dict[str, float]:
    """Divide the sums of all processes by the number of objects.

    Args:
        metric_sums: Sums of `validation_sums` over all processes.
        task: Task of the validation; for the error message.

    Returns:
        `validation_noc90` ..., `validation_iou1`.

    Raises:
        ValueError: There was no object.
    """
    if not metric_sums["objects"]:
        raise ValueError(
            f"config.validation: {task.dataset} has no object in split {task.split!r}; "
            "choose another split"
        )
    metric_totals = {
        name: metric_total
        for name, metric_total in metric_sums.items()
        if name != "objects"
    }
    return {
        f"validation_{name}": metric_total / metric_sums["objects"]
        for name, metric_total in metric_totals.items()
    }

"""How many clicks does a model need while it is still being trained?"""

import itertools
from collections.abc import Mapping

import jax

from mst_jax.evaluation.batched import simulate_many
from mst_jax.evaluation.evaluation_task import LANES, Task
from mst_jax.evaluation.metrics import clicks_needed
from mst_jax.evaluation.protocol import Protocol
from mst_jax.evaluation.summary import QUALITIES
from mst_jax.interaction.zoom_predict import Model


def plan_validation(
    view: Mapping[str, int | bool | None],
    *,
    name: str,
    data_dir: str,
    split: str,
    limit: int,
    max_clicks: int = 20,
    quality: int = 90,
) -> Task:
    """Reads the config's block `validation`.

    Args:
        view: of `choose_view`.
        name: of a prepared set.
        data_dir: where prepared sets live.
        split: of the set.
        limit: the first so many objects; 0: all.
        max_clicks: the session ends after so many clicks.
        quality: wanted IoU in percent; sessions end when it is reached.

    Raises:
        ValueError: no such set or split, a number out of range.
    """
    if quality not in QUALITIES:
        raise ValueError(
            f"config.validation.quality is {quality}, choose one of "
            f"{', '.join(map(str, QUALITIES))}"
        )
    if limit < 0:
        raise ValueError(f"config.validation.limit is {limit}, expected 0 or more")
    task = Task(
        dataset=name,
        data_dir=data_dir,
        split=split,
        limit=limit or None,
        stop_iou=quality / 100,
        protocol=Protocol(max_clicks=max_clicks, **view),
    )
    task.open()
    return task


def click_sums(
    model: Model, task: Task, *, shard: tuple[int, int] = (0, 1)
) -> dict[str, float]:
    """Clicks the objects of a task, or every so-many-th of them.

    The compiled protocol is that of `evaluate`; a model with the same module and other
    parameters is played by the same program.

    Args:
        model: as in `simulate_many`.
        task: what is to be clicked.
        shard: (index, count) of this process; the sums of all of them add up.

    Returns:
        Sums over the objects: `objects`, their number; `noc80`, `noc85` ..., clicks that
        were needed, up to the quality at which sessions end; `iou1`, IoU after the first
        click.
    """
    wanted = [q for q in QUALITIES if q / 100 <= task.stop_iou]
    sums = {"objects": 0.0, **{f"noc{q}": 0.0 for q in wanted}, "iou1": 0.0}
    targets = itertools.islice(task.targets(task.open()), shard[0], None, shard[1])
    lanes = LANES.get(jax.default_backend(), 8) * jax.local_device_count()
    settings = vars(task.protocol) | {"num_lanes": lanes, "stop_iou": task.stop_iou}
    for _, session in simulate_many(model, targets, **settings):
        sums["objects"] += 1
        sums["iou1"] += float(session.ious[0])
        for q in wanted:
            sums[f"noc{q}"] += clicks_needed(
                session.ious, target_iou=q / 100, max_clicks=task.protocol.max_clicks
            )
    return sums


def means_of(sums: Mapping[str, float], task: Task) -> dict[str, float]:
    """The means over the objects, as metrics: `validation_noc90` ...

    Raises:
        ValueError: there was no object.
    """
    if not sums["objects"]:
        raise ValueError(
            f"config.validation: {task.dataset} has no object in split {task.split!r}; "
            "choose another split"
        )
    rest = {name: value for name, value in sums.items() if name != "objects"}
    return {f"validation_{name}": sum_ / sums["objects"] for name, sum_ in rest.items()}

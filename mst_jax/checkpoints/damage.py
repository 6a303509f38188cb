"""Damaged checkpoints of a run are put out of the way before it goes on."""

import shutil

from mst_jax.atomic_io import Place
from mst_jax.checkpoints import store
from mst_jax.checkpoints.integrity import find_damage


def set_damaged_aside(workdir: Place) -> list[str]:
    """Renames the newest checkpoints to STEP.damaged until the newest is whole.

    Returns:
        A sentence for each.

    Raises:
        ValueError: all are damaged; none is renamed then.
    """
    damaged = {}
    for step in reversed(store.steps_of(workdir)):
        folder = workdir / store.CHECKPOINTS / str(step)
        damage = find_damage(folder, "")
        if not damage:
            break
        damaged[folder] = f"checkpoint {folder} is damaged ({damage})"
    else:
        for sentence in damaged.values():
            raise ValueError(
                f"{sentence}, and there is no other; restore it, or start again with "
                "another --workdir"
            )
    for folder in damaged:
        aside = folder.with_name(f"{folder.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    return [
        f"{sentence} and set aside; the run goes on from step {step}, the one before"
        for sentence in damaged.values()
    ]

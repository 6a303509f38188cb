"""Prepares a set from a folder that a test wrote, and reads it again."""

from pathlib import Path

import tensorflow_datasets as tfds

from mst_jax.data import dataset
from mst_jax.data.errors import Faults
from mst_jax.data.example import Example


def prepare(
    builder_class: type, source: Path, data_dir: Path, *, variant: str = "", **options
) -> tuple[dict[str, dict[str, Example]], Faults]:
    """Split -> id -> example; and what was left out."""
    made = []
    if variant:
        options["config"] = tfds.core.BuilderConfig(name=variant)
    name = f"{builder_class.name}/{variant}".rstrip("/")

    def make(place):
        made.append(builder_class(data_dir=place, source=str(source), **options))
        return made[0]

    dataset.write_set(make, name, data_dir)
    splits = {
        split: {e.id: e for e in dataset.open_source(name, data_dir, split)}
        for split in dataset.list_splits(name, data_dir)
    }
    return splits, made[0].faults

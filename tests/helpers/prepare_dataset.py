"""Prepare a dataset from a folder that a test wrote, and read it back."""

from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from mst_jax.data import dataset
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.example import Example
from mst_jax.data.file_errors import ErrorCollector


def prepare_dataset(
    builder_class: type[FolderDatasetBuilder],
    source: Path,
    data_dir: Path,
    *,
    variant: str | None = None,
    **builder_options: Any,
) -> tuple[dict[str, dict[str, Example]], ErrorCollector]:
    """Return the examples of each split by id, and the errors that were collected."""
    builders = []
    dataset_name = builder_class.name
    if variant is not None:
        dataset_name = f"{dataset_name}/{variant}"
        builder_options["config"] = tfds.core.BuilderConfig(name=variant)

    def make_builder(data_dir: str) -> FolderDatasetBuilder:
        builder = builder_class(
            data_dir=data_dir, source=str(source), **builder_options
        )
        builders.append(builder)
        return builder

    dataset.write_dataset(make_builder, dataset_name, data_dir)
    examples_by_split = {
        split: {
            example.id: example
            for example in dataset.open_dataset(dataset_name, data_dir, split)
        }
        for split in dataset.list_splits(dataset_name, data_dir)
    }
    return examples_by_split, builders[0].errors

"""Find out whether two splits of a prepared dataset share images."""

from pathlib import Path

from mst_jax.data.dataset import find_dataset
from mst_jax.extras import needs_extra

with needs_extra("data"):
    import tensorflow_datasets as tfds


def count_shared_images(
    name: str, data_dir: str | Path, first_split: str, second_split: str
) -> int:
    """Count the images that two splits of a prepared dataset have in common.

    Args:
        name: Name as it was given to `prepare`.
        data_dir: Folder of the prepared datasets.
        first_split: Split or a part of it, such as `train[:95%]`.
        second_split: Another one.

    Raises:
        ValueError: The dataset is not prepared there, or has no such split.
    """
    dataset_builder = tfds.builder_from_directory(find_dataset(name, data_dir))
    known_splits = dataset_builder.info.splits

    def list_images(split: str) -> set[tuple[str, int]]:
        # A part is given by its limits; no file is read.
        instruction = tfds.core.ReadInstruction.from_spec(split)
        return {
            (part.splitname, index)
            for part in instruction.to_absolute(known_splits)
            for index in range(known_splits[part.splitname].num_examples)[
                part.from_ : part.to
            ]
        }

    return len(list_images(first_split) & list_images(second_split))

"""Open the dataset of a run and its stream of training batches."""

from typing import Any

from mst_jax.data.batch_iterator import BatchIterator
from mst_jax.data.dataset import PreparedDataset, open_dataset
from mst_jax.data.pipeline import pipeline_options_from_config, training_batches
from mst_jax.training import distributed
from mst_jax.training.config import TrainingOptions

DEFAULT_SPLIT = "train"


def open_data(
    options: TrainingOptions,
    *,
    name: str,
    data_dir: str,
    split: str = DEFAULT_SPLIT,
    **pipeline_options: Any,
) -> tuple[PreparedDataset, BatchIterator]:
    """Open the dataset, and this process's share of the stream of training batches.

    Args:
        options: Checked values of the config.
        name: Name of a prepared dataset.
        data_dir: Folder of the prepared datasets.
        split: Split of the dataset, such as "train" or "train[:95%]".
        **pipeline_options: Keys and values of `data.pipeline.PipelineOptions`.

    Raises:
        ValueError: There is no such dataset or split, or a wrong option.
    """
    parsed_options = pipeline_options_from_config(pipeline_options)
    if "://" in data_dir:
        raise ValueError(
            f"config.data.data_dir is {data_dir}, expected a folder on a disk; copy it "
            f"first: gcloud storage cp --recursive {data_dir} ."
        )
    dataset = open_dataset(name, data_dir, split)
    # `config.batch` counts the examples of all processes.
    process_index, num_processes = distributed.process_shard()
    batches = training_batches(
        dataset,
        parsed_options,
        batch_size=options.batch // num_processes,
        crop_size=options.crop,
        seed=options.seed,
        shard=(process_index, num_processes),
    )
    return dataset, batches

"""Measure the speed of the training pipeline, and the time of each of its parts.

python benchmarks/data.py folder/objects --data-dir data
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from unit import measure_unit

from mst_jax.command_line import CommandParser
from mst_jax.data.dataset import PreparedDataset, open_dataset
from mst_jax.data.example import TargetSample
from mst_jax.data.pipeline import PipelineOptions, training_batches
from mst_jax.data.targets import TargetSampling, sample_target
from mst_jax.data.transforms.augment import AugmentationOptions, augment_sample

BATCH_SIZE = 16
NUM_REPEATS = 3  # of a rate; the fastest is printed
MAX_PART_IMAGES = 300  # for the time of each part
# The augmentations of the two published programs.
AUGMENTATIONS = {
    "MST": AugmentationOptions(),
    "AdaptiveClick": AugmentationOptions(
        scale=(0.75, 1.25),
        symmetry="all",
        shift=0.03,
        rotate=3.0,
        brightness=0.25,
        contrast=(-0.15, 0.4),
        rgb_shift=10,
    ),
}

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


def print_part_times(
    dataset: PreparedDataset, *, crop_size: int, num_images: int
) -> None:
    """Print the CPU time that each part of the pipeline takes for one image.

    Args:
        dataset: Prepared dataset.
        crop_size: Side of the augmented images in pixels.
        num_images: Number of images over which the times are averaged.
    """
    # One thread, so that CPU time is the cost of the part alone.
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    image_indices = rng.integers(len(dataset), size=num_images).tolist()

    def time_part(
        part_name: str,
        function: Callable[[InputT], OutputT],
        inputs: Sequence[InputT],
    ) -> list[OutputT]:
        start_time = time.process_time()
        outputs = [function(item) for item in inputs]
        milliseconds = 1000 * (time.process_time() - start_time) / num_images
        print(f"  {part_name:34} {milliseconds:6.2f} ms")
        return outputs

    print(f"one image, CPU time, mean of {num_images}:")
    time_part("read and decode the label maps", dataset.read_layers, image_indices)
    # The outputs of each part are the inputs of the next.
    examples = time_part("read and decode all", dataset.__getitem__, image_indices)
    samples = time_part(
        "sample the target",
        lambda example: sample_target(rng, example, TargetSampling()),
        examples,
    )
    for augmentation_name, augmentation in AUGMENTATIONS.items():

        def augment(
            sample: TargetSample, options: AugmentationOptions = augmentation
        ) -> TargetSample:
            return augment_sample(rng, sample, options, crop_size=crop_size)

        time_part(f"augment as {augmentation_name}", augment, samples)


def process_folders() -> list[Path]:
    """Return the /proc folders of this process and its workers (Linux only)."""
    own_folder = Path(f"/proc/{os.getpid()}")
    child_ids = [
        child_id
        for children_file in own_folder.glob("task/*/children")
        for child_id in children_file.read_text().split()
    ]
    return [own_folder, *(own_folder.with_name(child_id) for child_id in child_ids)]


def total_cpu_seconds() -> float:
    """Return the CPU time that this process and its workers have used."""
    num_ticks = 0
    for folder in process_folders():
        # The name of the program, in parentheses, may hold spaces.
        stat_fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        user_ticks, system_ticks = int(stat_fields[11]), int(stat_fields[12])
        num_ticks += user_ticks + system_ticks
    return num_ticks / os.sysconf("SC_CLK_TCK")


def total_memory_mib() -> float:
    """Return the resident memory of this process and its workers in MiB."""
    num_pages = [
        int((folder / "statm").read_text().split()[1]) for folder in process_folders()
    ]
    return sum(num_pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def print_rate(
    dataset: PreparedDataset,
    options: PipelineOptions,
    *,
    crop_size: int,
    num_images: int,
) -> float:
    """Print and return the images per second from decoding to the batch.

    The fastest of several repeats is taken: other programs disturbed it least.

    Args:
        dataset: Prepared dataset.
        options: Options of the pipeline, with the number of workers.
        crop_size: Side of the training images in pixels.
        num_images: Number of images of each repeat.
    """
    batches = training_batches(
        dataset, options, batch_size=BATCH_SIZE, crop_size=crop_size, seed=0
    )
    # 1. Batches that are ready before the clock starts do not count.
    for _ in range(2 + 3 * options.num_workers):
        next(batches)
    # 2. Wall time of each repeat, CPU time of all.
    num_steps = num_images // BATCH_SIZE
    cpu_start, repeat_seconds = total_cpu_seconds(), []
    for _ in range(NUM_REPEATS):
        start_time = time.perf_counter()
        for _ in range(num_steps):
            next(batches)
        repeat_seconds.append(time.perf_counter() - start_time)
    images_per_second = num_steps * BATCH_SIZE / min(repeat_seconds)
    cpu_milliseconds = 1000 * (total_cpu_seconds() - cpu_start)
    cpu_per_image = cpu_milliseconds / (NUM_REPEATS * num_steps * BATCH_SIZE)
    batches.close()
    print(
        f"  {options.num_workers} workers: {images_per_second:6.1f} images/s, "
        f"{cpu_per_image:.1f} ms of CPU time each"
    )
    return images_per_second


def print_memory(
    dataset: PreparedDataset, *, crop_size: int, num_examples: int, num_workers: int
) -> None:
    """Print the memory of all processes about ten times.

    Args:
        dataset: Prepared dataset.
        crop_size: Side of the training images in pixels.
        num_examples: Number of examples after which the measurement ends.
        num_workers: Number of worker processes.
    """
    options = PipelineOptions(num_workers=num_workers)
    batches = training_batches(
        dataset, options, batch_size=BATCH_SIZE, crop_size=crop_size, seed=0
    )
    print(f"memory with {num_workers} workers:")
    num_steps = num_examples // BATCH_SIZE
    print_interval = max(1, num_steps // 10)
    for step in range(1, num_steps + 1):
        next(batches)
        if step % print_interval == 0:
            num_done = step * BATCH_SIZE
            print(f"  after {num_done:6} examples {total_memory_mib():7.0f} MiB")
    batches.close()


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        description="Measure the speed of the training pipeline and of its parts."
    )
    add_flag = parser.add_argument
    add_flag("name", help="name of a prepared dataset, such as folder/objects")
    add_flag("--data-dir", default="data", help="folder of prepared datasets")
    add_flag("--crop-size", type=int, default=448, help="side of an image in pixels")
    add_flag("--num-images", type=int, default=480, help="images of each repeat")
    add_flag(
        "--memory-examples",
        type=int,
        default=0,
        help="examples over which memory is measured; 0: not at all",
    )
    return parser


def main() -> None:
    """Print the time of each part, the rates and, if asked for, the memory."""
    flags = make_parser().parse_args()
    dataset = open_dataset(flags.name, flags.data_dir, "train")
    # Rates are also printed per unit of time, to compare machines.
    unit_seconds = measure_unit()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"unit: {1000 * unit_seconds:.0f} ms")
    num_part_images = min(flags.num_images, MAX_PART_IMAGES)
    print_part_times(dataset, crop_size=flags.crop_size, num_images=num_part_images)
    for augmentation_name, augmentation in AUGMENTATIONS.items():
        print(
            f"whole pipeline as {augmentation_name}, {flags.crop_size} pixels, "
            f"batches of {BATCH_SIZE}:"
        )
        rates = [
            print_rate(
                dataset,
                PipelineOptions(num_workers=num_workers, augmentation=augmentation),
                crop_size=flags.crop_size,
                num_images=flags.num_images,
            )
            for num_workers in (0, 1, 2)
        ]
        print(f"  2 workers: {rates[2] * unit_seconds:.1f} images a unit,", end=" ")
        print(f"{rates[2] / rates[1]:.2f} times 1 worker")
    if flags.memory_examples:
        print_memory(
            dataset,
            crop_size=flags.crop_size,
            num_examples=flags.memory_examples,
            num_workers=2,
        )


if __name__ == "__main__":
    main()

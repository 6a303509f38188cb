"""How fast batches come, and where the time of a picture goes.

python benchmarks/data.py folder/objects --data_dir data
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from unit import matrix_product

from mst_jax.data.dataset import Source, open_source
from mst_jax.data.pipeline import training_batches
from mst_jax.data.targets import choose_target
from mst_jax.data.transforms.augment import augment

BATCH = 16
CHANGES = {
    "MST": {},  # the defaults
    "AdaptiveClick": dict(
        scale=(0.75, 1.25),
        symmetry="all",
        shift=0.03,
        rotate=3.0,
        brightness=0.25,
        contrast=(-0.15, 0.4),
        rgb_shift=10,
    ),
}


def print_parts(source: Source, *, crop: int, number: int) -> None:
    """Prints what each part of one picture's way costs, in one thread."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(source), size=number).tolist()

    def timed(name: str, function: Callable, items: Sequence) -> list:
        start = time.process_time()
        made = [function(item) for item in items]
        took = 1000 * (time.process_time() - start) / number
        print(f"  {name:34} {took:6.2f} ms")
        return made

    print(f"one picture, CPU time, mean of {number}:")
    timed("read and decode the label maps", source.layers, chosen)
    examples = timed("read and decode all", source.__getitem__, chosen)
    samples = timed("choose the target", lambda e: choose_target(rng, e), examples)
    for name, changes in CHANGES.items():

        def change(sample: tuple, changes: dict = changes) -> tuple:
            return augment(rng, sample, crop=crop, **changes)

        timed(f"augment as {name}", change, samples)


def family() -> list[Path]:
    """Where Linux tells of this process and its workers."""
    me = Path(f"/proc/{os.getpid()}")
    children = [file.read_text().split() for file in me.glob("task/*/children")]
    return [me, *(me.with_name(child) for found in children for child in found)]


def busy_seconds() -> float:
    """CPU time that this process and its workers have used."""
    ticks = 0
    for process in family():
        fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])  # of the user, of the system
    return ticks / os.sysconf("SC_CLK_TCK")


def resident() -> float:
    """MiB of memory that this process and its workers hold."""
    pages = [int((process / "statm").read_text().split()[1]) for process in family()]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def print_rate(source: Source, *, number: int, **options: object) -> float:
    """Prints and returns pictures a second, from decoding to the batch.

    The best of three times is taken: the one that other programs disturbed least.
    """
    batches = training_batches(source, batch=BATCH, seed=0, **options)
    for _ in range(2 + 3 * options["num_workers"]):  # what lies ready does not count
        next(batches)
    steps, busy, times = number // BATCH, busy_seconds(), []
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(steps):
            next(batches)
        times.append(time.perf_counter() - start)
    rate = steps * BATCH / min(times)
    cost = 1000 * (busy_seconds() - busy) / (3 * steps * BATCH)
    batches.close()
    print(
        f"  {options['num_workers']} workers: {rate:6.1f} pictures/s, "
        f"{cost:.1f} ms of CPU time each"
    )
    return rate


def print_memory(source: Source, *, crop: int, number: int, num_workers: int) -> None:
    """Prints the memory of all processes, ten times over `number` examples."""
    batches = training_batches(
        source, batch=BATCH, crop=crop, seed=0, num_workers=num_workers
    )
    print(f"memory with {num_workers} workers:")
    every = max(1, number // BATCH // 10)
    for step in range(1, number // BATCH + 1):
        next(batches)
        if step % every == 0:
            print(f"  after {step * BATCH:6} examples {resident():7.0f} MiB")
    batches.close()


def main() -> None:
    """Prints all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of a prepared set, such as folder/objects")
    parser.add_argument("--data_dir", default="data")
    parser.add_argument("--crop", type=int, default=448)
    parser.add_argument("--number", type=int, default=480, help="pictures a rate")
    parser.add_argument("--memory", type=int, default=0, help="examples; 0: skip it")
    known = parser.parse_args()
    source = open_source(known.name, known.data_dir, "train")
    unit = matrix_product()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"unit: {1000 * unit:.0f} ms")
    print_parts(source, crop=known.crop, number=min(known.number, 300))
    for name, changes in CHANGES.items():
        print(f"whole pipeline as {name}, {known.crop} pixels, batches of {BATCH}:")
        rates = [
            print_rate(
                source,
                number=known.number,
                crop=known.crop,
                num_workers=num_workers,
                changes=changes,
            )
            for num_workers in (0, 1, 2)
        ]
        print(f"  2 workers: {rates[2] * unit:.1f} pictures a unit,", end=" ")
        print(f"{rates[2] / rates[1]:.2f} times 1 worker")
    if known.memory:
        print_memory(source, crop=known.crop, number=known.memory, num_workers=2)


if __name__ == "__main__":
    main()

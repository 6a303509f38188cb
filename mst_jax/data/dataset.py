"""Prepared data sets on disk: `data_dir/NAME/VERSION/*.array_record`.

A set is written beside its place, in `data_dir/incomplete.NAME@*`, and renamed when it is
whole: an interrupted preparation leaves no half set, and the next one sweeps up. The
hidden file `data_dir/.NAME.lock` keeps a second process from writing the same set.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from jaxtyping import UInt16

from mst_jax.data.example import Example
from mst_jax.data.record import SKIP_DECODING, open_layers, open_record

_CARD = "dataset_info.json"


class Source(Sequence[Example]):
    """The pictures of a split, decoded when asked for: `len(source)`, `source[i]`.

    May be pickled: a worker process opens the files anew.
    """

    def __init__(self, name: str, data_dir: str | Path, split: str) -> None:
        self._opened_with = (name, str(data_dir), split)
        builder = tfds.builder_from_directory(find_set(name, data_dir))
        try:
            self._records = builder.as_data_source(split, decoders=SKIP_DECODING)
        except ValueError as error:
            raise ValueError(
                f"cannot read split {split!r} of {name}, which has "
                f"{sorted(builder.info.splits)}; write 'train' or 'train[:95%]'"
            ) from error

    def __reduce__(self) -> tuple[type[Source], tuple[str, str, str]]:
        return Source, self._opened_with

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        return open_record(self._records[self._checked(index)])

    def layers(self, index: int) -> UInt16[np.ndarray, "l h w"]:
        """The label maps alone, without decoding the picture."""
        return open_layers(self._records[self._checked(index)])

    def ids(self) -> list[str]:
        """Names of the pictures, in their order, without decoding anything."""
        name = tfds.features.FeaturesDict({"id": tfds.features.Text()})
        records = self._records.data_source
        return [name.deserialize_example_np(row)["id"].decode() for row in records]

    def _checked(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        return int(index) % len(self)


def open_source(name: str, data_dir: str | Path, split: str) -> Source:
    """Opens a split of a prepared data set for reading at random.

    Args:
        name: as it was given to `prepare`, for example `grabcut` or `folder/objects`.
        data_dir: where prepared sets live.
        split: `train`, `test`, or a part such as `train[:95%]`.

    Raises:
        ValueError: the set is not prepared there, or has no such split.
    """
    return Source(name, data_dir, split)


def list_sets(data_dir: str | Path) -> dict[str, Path]:
    """Finds the prepared sets: name -> folder of their newest version."""
    root = Path(data_dir)
    cards = [*root.glob(f"*/*/{_CARD}"), *root.glob(f"*/*/*/{_CARD}")]
    folders = [
        card.parent
        for card in cards
        if "incomplete." not in str(card.relative_to(root))
    ]
    ordered = sorted(folders, key=lambda folder: (folder.parent, _version(folder)))
    return {folder.parent.relative_to(root).as_posix(): folder for folder in ordered}


def find_set(name: str, data_dir: str | Path) -> Path:
    """The folder of a prepared set; ValueError with the command to run if missing."""
    sets = list_sets(data_dir)
    if name not in sets:
        known = ", ".join(sets) or "no set at all"
        source = "" if name == "shapes" else " --source DIR"
        raise ValueError(
            f"data set {name!r} is not prepared in {data_dir} (found there: {known}); "
            f"run: python -m mst_jax.prepare {name}{source} --data_dir {data_dir}"
        )
    return sets[name]


def list_splits(name: str, data_dir: str | Path) -> list[str]:
    """Names of the splits of a prepared set, in order of the alphabet."""
    return sorted(tfds.builder_from_directory(find_set(name, data_dir)).info.splits)


def write_set(
    make_builder: Callable[[str], tfds.core.DatasetBuilder],
    name: str,
    data_dir: str | Path,
) -> Path:
    """Lets a builder write a set and puts it in its place, in lieu of an older one.

    Args:
        make_builder: data_dir -> builder; it must write into `data_dir/name/VERSION`.
        name: the set's name.
        data_dir: where prepared sets live; made if missing.

    Returns:
        The folder of the set.

    Raises:
        ValueError: another process is writing the set; or what the builder raises.
    """
    root = Path(data_dir)
    root.mkdir(parents=True, exist_ok=True)
    with _alone(name, root), _staging(name, root) as staging:
        with _quiet_tfds():
            builder = make_builder(str(staging))
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
                file_format="array_record",
            )
        written = list_sets(staging)[name]
        return _put_in_place(written, root / written.relative_to(staging), staging)


@contextlib.contextmanager
def _alone(name: str, root: Path) -> Iterator[None]:
    """Holds the lock `.NAME.lock`; the system lets go of it when the process ends."""
    with (root / f".{_flat(name)}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{name} is being prepared in {root} by another process; wait for it"
            ) from None
        yield


@contextlib.contextmanager
def _staging(name: str, root: Path) -> Iterator[Path]:
    """A folder to write the set in, gone afterwards like those of killed processes."""
    mark = f"incomplete.{_flat(name)}@"
    for leftover in root.glob(f"{mark}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=mark, dir=root))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _flat(name: str) -> str:
    return name.replace("/", "+")


def _put_in_place(written: Path, place: Path, staging: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        place.rename(staging / "replaced")
    written.rename(place)
    return place


def _version(folder: Path) -> tuple[int, ...]:
    parts = folder.name.split(".")
    return tuple(int(part) for part in parts if part.isdigit())


@contextlib.contextmanager
def _quiet_tfds() -> Iterator[None]:
    """Silences the banner, the bars and the log of TFDS; errors still come through."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.enable_progress_bar()
        logging.set_verbosity(before)

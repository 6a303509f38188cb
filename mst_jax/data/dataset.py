"""Prepare, find and open datasets on disk: `data_dir/NAME/VERSION/*.array_record`.

A dataset is written to `data_dir/incomplete.NAME@*` and renamed when it is complete: an
interrupted preparation leaves no half dataset, and the next one removes the leftovers.
The hidden file `data_dir/.NAME.lock` keeps a second process from writing the same set.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from absl import logging
from jaxtyping import UInt16

from mst_jax.data.example import Example
from mst_jax.data.record import SKIP_DECODING, decode_layers, decode_record
from mst_jax.extras import needs_extra

with needs_extra("data"):
    import tensorflow_datasets as tfds

_INFO_FILE = "dataset_info.json"


class PreparedDataset(Sequence[Example]):
    """The images of a split, decoded on access: `len(dataset)`, `dataset[i]`.

    It can be pickled: a worker process opens the files again.
    """

    def __init__(self, name: str, data_dir: str | Path, split: str) -> None:
        self._arguments = (name, str(data_dir), split)
        dataset_builder = tfds.builder_from_directory(find_dataset(name, data_dir))
        # TFDS's decorator hides the arguments of this method from type checkers.
        as_data_source: Any = dataset_builder.as_data_source
        try:
            self._records = as_data_source(split, decoders=SKIP_DECODING)
        except ValueError as error:
            known_splits = ", ".join(
                f"{known_split} ({info.num_examples} images)"
                for known_split, info in sorted(dataset_builder.info.splits.items())
            )
            raise ValueError(
                f"cannot read split {split!r} of {name}, which does not exist or is "
                f"empty; choose one of {known_splits}, or a part such as 'train[:95%]'"
            ) from error

    def __reduce__(self) -> tuple[type[PreparedDataset], tuple[str, str, str]]:
        return PreparedDataset, self._arguments

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        return decode_record(self._records[self._check_index(index)])

    def read_layers(self, index: int) -> UInt16[np.ndarray, "l h w"]:
        """Read the [l h w] label maps of an image alone, without decoding the image."""
        return decode_layers(self._records[self._check_index(index)])

    def read_ids(self) -> list[str]:
        """Read the names of the images, in their order, without decoding anything."""
        # Deserializes this one feature; the image stays encoded.
        id_feature = tfds.features.FeaturesDict({"id": tfds.features.Text()})
        return [
            cast(dict[str, Any], id_feature.deserialize_example_np(record))[
                "id"
            ].decode()
            for record in self._records.data_source
        ]

    def _check_index(self, index: int) -> int:
        """Return an index from 0; IndexError if there is no such image."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        # Negative indices count from the end; NumPy integers are not keys for TFDS.
        return int(index) % len(self)


def open_dataset(name: str, data_dir: str | Path, split: str) -> PreparedDataset:
    """Open a split of a prepared dataset for random access.

    Args:
        name: Name as it was given to `prepare`, for example `grabcut` or
            `folder/objects`.
        data_dir: Folder of the prepared datasets.
        split: `train`, `test`, or a part such as `train[:95%]`.

    Raises:
        ValueError: The dataset is not prepared there, or has no such split.
    """
    return PreparedDataset(name, data_dir, split)


def list_datasets(data_dir: str | Path) -> dict[str, Path]:
    """Find the prepared datasets.

    Args:
        data_dir: Folder of the prepared datasets.

    Returns:
        Name of each dataset -> folder of its newest version.
    """
    data_root = Path(data_dir)
    # NAME/VERSION, or BUILDER/CONFIG/VERSION.
    info_files = [
        *data_root.glob(f"*/*/{_INFO_FILE}"),
        *data_root.glob(f"*/*/*/{_INFO_FILE}"),
    ]
    version_folders = [
        info_file.parent
        for info_file in info_files
        if "incomplete." not in str(info_file.relative_to(data_root))
    ]
    # The newest version comes last and replaces the older ones.
    ordered_folders = sorted(
        version_folders,
        key=lambda version_folder: (
            version_folder.parent,
            _parse_version(version_folder),
        ),
    )
    return {
        version_folder.parent.relative_to(data_root).as_posix(): version_folder
        for version_folder in ordered_folders
    }


def find_dataset(name: str, data_dir: str | Path) -> Path:
    """Return the folder of a prepared dataset.

    Args:
        name: Name as it was given to `prepare`.
        data_dir: Folder of the prepared datasets.

    Raises:
        ValueError: The dataset is missing; the message holds the command to run.
    """
    found_datasets = list_datasets(data_dir)
    if name not in found_datasets:
        known_names = ", ".join(found_datasets) or "no dataset at all"
        source_flag = "" if name == "shapes" else " --source DIR"
        raise ValueError(
            f"dataset {name!r} is not prepared in {data_dir} (found there: "
            f"{known_names}); "
            f"run: python -m mst_jax.prepare {name}{source_flag} --data-dir "
            f"{shlex.quote(str(data_dir))}"
        )
    return found_datasets[name]


def list_splits(name: str, data_dir: str | Path) -> list[str]:
    """List the splits of a prepared dataset, in alphabetical order.

    Args:
        name: Name as it was given to `prepare`.
        data_dir: Folder of the prepared datasets.

    Raises:
        ValueError: The dataset is not prepared there.
    """
    dataset_builder = tfds.builder_from_directory(find_dataset(name, data_dir))
    return sorted(dataset_builder.info.splits)


def write_dataset(
    make_builder: Callable[[str], tfds.core.DatasetBuilder],
    name: str,
    data_dir: str | Path,
) -> Path:
    """Run a builder and install the dataset that it writes, replacing an older one.

    Args:
        make_builder: Function of a data_dir that returns a builder, which must write into
            `data_dir/name/VERSION`.
        name: Name of the dataset.
        data_dir: Folder of the prepared datasets; made if missing.

    Returns:
        The folder of the dataset.

    Raises:
        ValueError: Another process is writing the dataset, or `data_dir` is a file; or
            what the builder raises.
    """
    data_root = Path(data_dir)
    try:
        data_root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(
            f"the data folder {data_dir} is a file, or lies below one; choose a folder"
        ) from None
    with (
        _exclusive_lock(name, data_root),
        _staging_folder(name, data_root) as staging_folder,
    ):
        with _silence_tfds():
            dataset_builder = make_builder(str(staging_folder))
            dataset_builder.download_and_prepare(
                # Without this TFDS would look for a prepared copy in Google's cloud.
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
                file_format="array_record",
            )
        written_folder = list_datasets(staging_folder)[name]
        return _install_dataset(
            written_folder,
            data_root / written_folder.relative_to(staging_folder),
            staging_folder,
        )


@contextlib.contextmanager
def _exclusive_lock(name: str, data_root: Path) -> Iterator[None]:
    """Hold the lock `.NAME.lock`; the system releases it when the process ends."""
    with (data_root / f".{_flat_name(name)}.lock").open("w") as lock_file:
        # Without waiting: a preparation may take hours.
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{name} is being prepared in {data_root} by another process; wait for it"
            ) from None
        yield


@contextlib.contextmanager
def _staging_folder(name: str, data_root: Path) -> Iterator[Path]:
    """Make a folder to write the dataset in, and remove it afterwards."""
    staging_prefix = f"incomplete.{_flat_name(name)}@"
    # Killed processes could not remove theirs; the lock shows that none is alive.
    for leftover_folder in data_root.glob(f"{staging_prefix}*"):
        shutil.rmtree(leftover_folder, ignore_errors=True)
    staging_folder = Path(tempfile.mkdtemp(prefix=staging_prefix, dir=data_root))
    try:
        yield staging_folder
    finally:
        shutil.rmtree(staging_folder, ignore_errors=True)


def _flat_name(name: str) -> str:
    """Return a name such as `folder/objects` as a file name."""
    return name.replace("/", "+")


def _install_dataset(
    written_folder: Path, destination_folder: Path, staging_folder: Path
) -> Path:
    """Move a written dataset to its destination; an older one is removed."""
    # Renaming within one file system is atomic.
    destination_folder.parent.mkdir(parents=True, exist_ok=True)
    if destination_folder.exists():
        destination_folder.rename(staging_folder / "replaced")
    written_folder.rename(destination_folder)
    return destination_folder


def _parse_version(version_folder: Path) -> tuple[int, ...]:
    """Return the version that a folder is named after, such as (1, 0, 0)."""
    version_parts = version_folder.name.split(".")
    return tuple(
        int(version_part) for version_part in version_parts if version_part.isdigit()
    )


@contextlib.contextmanager
def _silence_tfds() -> Iterator[None]:
    """Silence the banner, the progress bars and the log of TFDS, but not its errors."""
    previous_verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        # The banner is printed, not logged.
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.enable_progress_bar()
        logging.set_verbosity(previous_verbosity)

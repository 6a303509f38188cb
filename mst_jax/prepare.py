"""Prepare a dataset: from the files its authors publish to array_record files.

python -m mst_jax.prepare shapes --data-dir data
python -m mst_jax.prepare grabcut --source GrabCut --data-dir data
python -m mst_jax.prepare folder/birds --source my_birds --data-dir data --preview a.png

All datasets, their layouts and what to expect: docs/data.md.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
from tqdm import tqdm

from mst_jax.atomic_io import atomic_write, check_writable
from mst_jax.command_line import EXIT_INTERRUPTED, CommandParser
from mst_jax.data import dataset
from mst_jax.data.builders import BUILDERS
from mst_jax.data.builders.folder_dataset import FolderDatasetBuilder
from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.formats.images import encode_png
from mst_jax.data.inspection.preview import draw_contact_sheet, evenly_spaced_indices
from mst_jax.data.inspection.statistics import compute_statistics, format_statistics
from mst_jax.extras import needs_extra

with needs_extra("data"):
    import tensorflow_datasets as tfds

_NUM_PREVIEW_IMAGES = 20  # in a preview, of all splits together
_SHAPES_OPTIONS = ("num_train", "num_validation", "size", "seed")
_FOLDER_OPTIONS = ("source", "skip_bad", "page", "binarize")

ElementT = TypeVar("ElementT")


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the dataset that the command line names and print its statistics.

    Args:
        argv: Arguments of the command line; None takes those of the process.
    """
    parser = make_parser()
    options = parser.parse_args(argv)
    # Bad files are reported once, with their names, by the error collector.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        prepare_dataset(options)
    except (ValueError, OSError) as error:
        parser.exit_with_error(error)
    except KeyboardInterrupt:
        parser.exit(EXIT_INTERRUPTED, "stopped; no partial dataset is left\n")


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m mst_jax.prepare",
        description="Convert a dataset from the files that its authors publish to "
        "array_record files.",
    )
    add_flag = parser.add_argument
    builder_names = ", ".join(sorted(BUILDERS))
    add_flag("name", help=f"{builder_names}; your own: folder/NAME, coco_json/NAME")
    add_flag("--source", help="folder of the published files; not for shapes")
    add_flag("--data-dir", required=True, type=Path, help="folder of prepared datasets")
    add_flag("--overwrite", action="store_true", help="replace a prepared dataset")
    # None where it is not given: shapes must refuse it.
    add_flag(
        "--skip-bad",
        action="store_true",
        default=None,
        help="leave out bad files instead of failing",
    )
    add_flag(
        "--page",
        type=int,
        metavar="N",
        help="page or frame to read from files that have several, counted from 1",
    )
    add_flag(
        "--binarize",
        action="store_true",
        default=None,
        help="read a mask with soft edges as one object: all pixels brighter than half "
        "of white",
    )
    add_flag(
        "--preview",
        type=Path,
        metavar="FILE",
        help="PNG file to write: some images with their objects",
    )
    add_flag("--num-train", type=int, help="shapes only: number of training images")
    add_flag(
        "--num-validation", type=int, help="shapes only: number of validation images"
    )
    add_flag("--size", type=int, help="shapes only: height and width in pixels")
    add_flag("--seed", type=int, help="shapes only: random seed of the scenes")
    return parser


def prepare_dataset(options: argparse.Namespace) -> None:
    """Write the dataset unless it exists, and print the statistics of each split.

    Args:
        options: Parsed command line, see `make_parser`.

    Raises:
        ValueError: The dataset is unknown, an option does not apply to it, the source
            is wrong, or files are bad.
    """
    # 1. Check everything that can be checked before the long work.
    builder_name, variant_name = _parse_name(options.name)
    if options.preview:
        check_writable(options.preview)
    builder_options = _builder_options(options, builder_name)
    # 2. Write the dataset. Statistics of an existing one need no source.
    is_prepared = options.name in dataset.list_datasets(options.data_dir)
    if is_prepared and not options.overwrite:
        folder = dataset.find_dataset(options.name, options.data_dir)
        print(
            f"{options.name} is already prepared in {folder}; --overwrite replaces it"
        )
    else:
        if builder_name != "shapes" and "source" not in builder_options:
            raise ValueError(f"{builder_name} needs --source, the folder to read from")
        folder = _write_dataset(
            options, BUILDERS[builder_name], variant_name, builder_options
        )
        print(f"{options.name} is prepared in {folder}")
    # 3. Read it back: what is printed is what training will see.
    prepared_splits = {
        split: dataset.open_dataset(options.name, options.data_dir, split)
        for split in dataset.list_splits(options.name, options.data_dir)
    }
    for split, prepared_split in prepared_splits.items():
        image_indices = _show_progress(range(len(prepared_split)))
        statistics = compute_statistics(
            prepared_split.read_layers(k) for k in image_indices
        )
        print(f"\n{options.name}, split {split}: {format_statistics(statistics)}")
    if options.preview:
        _write_preview(prepared_splits, options.preview)
        print(f"\nsome of its images are drawn in {options.preview}")


def _write_preview(
    prepared_splits: Mapping[str, dataset.PreparedDataset], path: Path
) -> None:
    """Write a contact sheet of a few images of each split."""
    # Rounded up: each split has at least one image.
    images_per_split = -(-_NUM_PREVIEW_IMAGES // len(prepared_splits))
    titled_examples = []
    for split, prepared_split in prepared_splits.items():
        image_indices = evenly_spaced_indices(
            len(prepared_split), max_count=images_per_split
        )
        split_examples = (prepared_split[int(index)] for index in image_indices)
        titled_examples += [
            (f"{split}/{example.id}", example) for example in split_examples
        ]
    atomic_write(path, encode_png(draw_contact_sheet(titled_examples)))


def _parse_name(name: str) -> tuple[str, str | None]:
    """Return builder and variant of a name such as `folder/birds`.

    Raises:
        ValueError: There is no such builder, or it has no such variant.
    """
    builder_name, _, variant_name = name.partition("/")
    if builder_name not in BUILDERS:
        raise ValueError(f"no dataset {name!r}; choose from {sorted(BUILDERS)}")
    builder_class = BUILDERS[builder_name]
    # Shapes has neither attribute: it is read from no folder.
    variant_names = getattr(builder_class, "VARIANT_NAMES", ())
    any_variant_name = getattr(builder_class, "ANY_VARIANT_NAME", False)
    if variant_name and not any_variant_name:
        if not variant_names:
            raise ValueError(f"{builder_name} has no variants; write {builder_name!r}")
        if variant_name not in variant_names:
            raise ValueError(
                f"no variant {variant_name!r}; {builder_name} has {variant_names}"
            )
    # The variant becomes a folder of the prepared dataset, so it must stay in there.
    if "/" in name and not re.fullmatch(r"[A-Za-z_][\w-]*", variant_name):
        raise ValueError(
            f"{name!r} is not a valid name; write {builder_name}/NAME, NAME of letters, "
            "digits, - and _"
        )
    return builder_name, variant_name or None


def _builder_options(options: argparse.Namespace, builder_name: str) -> dict[str, Any]:
    """Return the builder's options that the command line gives.

    Raises:
        ValueError: An option does not apply to the builder.
    """
    accepted_keys, rejected_keys = _FOLDER_OPTIONS, _SHAPES_OPTIONS
    if builder_name == "shapes":
        accepted_keys, rejected_keys = rejected_keys, accepted_keys
    if options.page is not None and options.page < 1:
        raise ValueError(f"--page is {options.page}, expected 1 for the first page")
    for option_key in rejected_keys:
        if getattr(options, option_key) is not None:
            flag_name = f"--{option_key.replace('_', '-')}"
            raise ValueError(
                f"{flag_name} does not apply to {builder_name}; leave it out"
            )
    if options.binarize and not getattr(
        BUILDERS[builder_name], "READS_SOFT_MASKS", False
    ):
        raise ValueError(f"--binarize does not apply to {builder_name}; leave it out")
    # What is not given keeps the builder's default.
    given_options = {
        option_key: getattr(options, option_key) for option_key in accepted_keys
    }
    return {
        option_key: option_value
        for option_key, option_value in given_options.items()
        if option_value is not None
    }


def _write_dataset(
    options: argparse.Namespace,
    builder_class: type[FolderDatasetBuilder] | type[Shapes],
    variant_name: str | None,
    builder_options: dict[str, Any],
) -> Path:
    """Write the dataset, print what was left out, and return its folder."""
    # TFDS writes a variant to a folder of its own, named by the builder config.
    if variant_name:
        builder_config = tfds.core.BuilderConfig(name=variant_name)
        builder_options = builder_options | {"config": builder_config}
    made_builders: list[FolderDatasetBuilder | Shapes] = []

    def make_builder(data_dir: str) -> tfds.core.DatasetBuilder:
        dataset_builder = builder_class(
            data_dir=data_dir, progress_fn=_show_progress, **builder_options
        )
        made_builders.append(dataset_builder)
        return dataset_builder

    folder = dataset.write_dataset(make_builder, options.name, options.data_dir)
    # Bad files to stderr, what is skipped on purpose to stdout.
    errors = made_builders[0].errors
    if errors.messages:
        print(f"left out {len(errors.messages)} bad files:", file=sys.stderr)
        print("\n".join(f"  {line}" for line in errors.messages), file=sys.stderr)
    for description, skip_count in errors.skip_counts.items():
        print(f"skipped on purpose: {skip_count} {description}")
    for remark, file_count in errors.remark_counts.items():
        print(f"remark: {file_count} {remark}")
    return folder


def _show_progress(iterable: Iterable[ElementT], /) -> Iterable[ElementT]:
    # disable=None: no progress bar where the output is not a terminal.
    return tqdm(iterable, unit=" images", leave=False, dynamic_ncols=True, disable=None)


if __name__ == "__main__":
    main()

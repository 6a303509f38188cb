"""Prepare a data set: from the files its authors publish to array_record files.

python -m mst_jax.prepare shapes --data_dir data
python -m mst_jax.prepare grabcut --source GrabCut --data_dir data
python -m mst_jax.prepare folder/birds --source my_birds --data_dir data --preview a.png

All sets, their layouts and what to expect: docs/data.md.
"""

from __future__ import annotations

import argparse
import functools
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import tensorflow_datasets as tfds
from tqdm import tqdm

from mst_jax.atomic_io import check_room, write_whole
from mst_jax.data import dataset
from mst_jax.data.builders import BUILDERS
from mst_jax.data.builders.folder_dataset import ANY
from mst_jax.data.formats.images import encode_png
from mst_jax.data.inspection.preview import draw_sheet, pick_evenly
from mst_jax.data.inspection.statistics import print_form, take_survey

STOPPED = 130
_NUM_SHOWN = 20  # pictures in a preview, of all splits together


def main(argv: Sequence[str] | None = None) -> None:
    """Prepares the set that the command line names and prints what is in it."""
    parser = make_parser()
    options = parser.parse_args(argv)
    # What is wrong with a file is told once, with its name, by us.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        prepare(options)
    except (ValueError, OSError) as error:
        parser.exit(2, f"prepare: {error}\n")
    except KeyboardInterrupt:
        parser.exit(STOPPED, "prepare: stopped; no half of a set is left behind\n")


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mst_jax.prepare", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add(
        "name",
        help=f"{', '.join(sorted(BUILDERS))}; your own: folder/NAME, coco_json/NAME",
    )
    add("--source", help="folder as its authors publish it; not for shapes")
    add("--data_dir", required=True, type=Path, help="where prepared sets live")
    add("--overwrite", action="store_true", help="make a prepared set anew")
    add("--skip-bad", action="store_true", default=None, help="leave bad files out")
    add("--preview", type=Path, metavar="FILE", help="PNG to draw: pictures, objects")
    add("--num-train", type=int, help="shapes only: pictures to train with")
    add("--num-validation", type=int, help="shapes only: pictures to test with")
    add("--size", type=int, help="shapes only: height and width in pixels")
    add("--seed", type=int, help="shapes only: other seed, other pictures")
    return parser


def prepare(options: argparse.Namespace) -> None:
    """Writes the set unless it is there, and prints a survey of each split.

    Raises:
        ValueError: unknown set, options that do not fit it, a wrong source, bad files.
    """
    builder_name, config = _split_name(options.name)
    if options.preview:
        check_room(options.preview)
    arguments = _builder_arguments(options, builder_name)
    if options.name in dataset.list_sets(options.data_dir) and not options.overwrite:
        place = dataset.find_set(options.name, options.data_dir)
        print(
            f"{options.name} is already prepared in {place}; --overwrite makes it anew"
        )
    else:
        if builder_name != "shapes" and "source" not in arguments:
            raise ValueError(f"{builder_name} needs --source, the folder to read from")
        place = _write(options, BUILDERS[builder_name], config, arguments)
        print(f"{options.name} is prepared in {place}")
    sources = {
        split: dataset.open_source(options.name, options.data_dir, split)
        for split in dataset.list_splits(options.name, options.data_dir)
    }
    for split, source in sources.items():
        numbers = _show_progress(range(len(source)))
        survey = take_survey(source.layers(number) for number in numbers)
        print(f"\n{options.name}, split {split}: {print_form(survey)}")
    if options.preview:
        _draw_preview(sources, options.preview)
        print(f"\nsome of its pictures are drawn in {options.preview}")


def _draw_preview(sources: Mapping[str, dataset.Source], path: Path) -> None:
    """Writes a contact sheet of a few pictures of each split."""
    most = -(-_NUM_SHOWN // len(sources))
    shown = []
    for split, source in sources.items():
        examples = (source[int(k)] for k in pick_evenly(len(source), most=most))
        shown += [(f"{split}/{example.id}", example) for example in examples]
    write_whole(path, encode_png(draw_sheet(shown)))


def _split_name(name: str) -> tuple[str, str | None]:
    builder_name, _, config = name.partition("/")
    if builder_name not in BUILDERS:
        raise ValueError(f"no data set {name!r}; choose from {sorted(BUILDERS)}")
    variants = getattr(BUILDERS[builder_name], "VARIANTS", ())
    if config and not variants:
        raise ValueError(f"{builder_name} has no variants; write {builder_name!r}")
    if config and variants is not ANY and config not in variants:
        raise ValueError(f"no variant {config!r}; {builder_name} has {variants}")
    if "/" in name and not re.fullmatch(r"[A-Za-z_][\w-]*", config):
        raise ValueError(
            f"{name!r} is no name; write {builder_name}/NAME, NAME of letters, digits, "
            "- and _"
        )
    return builder_name, config or None


def _builder_arguments(
    options: argparse.Namespace, builder_name: str
) -> dict[str, object]:
    """Arguments of the builder that were given; ValueError if one does not fit it."""
    drawn = ("num_train", "num_validation", "size", "seed")
    read = ("source", "skip_bad")
    fitting, foreign = (drawn, read) if builder_name == "shapes" else (read, drawn)
    for key in foreign:
        if getattr(options, key) is not None:
            flag = f"--{key.replace('_', '-')}"
            raise ValueError(f"{flag} has no meaning for {builder_name}; leave it out")
    given = {key: getattr(options, key) for key in fitting}
    return {key: value for key, value in given.items() if value is not None}


def _write(
    options: argparse.Namespace,
    builder_class: type[tfds.core.GeneratorBasedBuilder],
    config: str | None,
    arguments: dict[str, object],
) -> Path:
    made = []
    if config:
        arguments = arguments | {"config": tfds.core.BuilderConfig(name=config)}

    def make_builder(data_dir: str) -> tfds.core.DatasetBuilder:
        made.append(
            builder_class(data_dir=data_dir, progress=_show_progress, **arguments)
        )
        return made[0]

    place = dataset.write_set(make_builder, options.name, options.data_dir)
    faults = made[0].faults
    if faults.lines:
        print(f"left out {len(faults.lines)} bad files:", file=sys.stderr)
        print("\n".join(f"  {line}" for line in faults.lines), file=sys.stderr)
    for what, count in faults.remarks.items():
        print(f"left out as it should be: {count} {what}")
    return place


_show_progress = functools.partial(
    tqdm, unit=" pictures", leave=False, dynamic_ncols=True, disable=None
)


if __name__ == "__main__":
    main()

r"""How many clicks does a model need on a data set?

python -m mst_jax.evaluate --checkpoint RUN --dataset grabcut --data_dir data \
  --out grabcut.json
"""

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from mst_jax.data.objects import EvaluationTarget, evaluation_targets
from mst_jax.data.store import Source, list_splits, open_source
from mst_jax.evaluation.protocol import simulate
from mst_jax.evaluation.summary import Record, summarise
from mst_jax.evaluation.table import to_markdown
from mst_jax.interaction.predict import Model
from mst_jax.interaction.view import AS_TRAINED, choose_view, read_zoom
from mst_jax.models.load import load
from mst_jax.whole_file import check_room, write_whole

# The first of these that a set has is evaluated.
SPLITS = ("test", "validation", "train")
STOPPED = 130


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluates what the command line names, prints the table and writes the JSON."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        summary = evaluate(options)
        text = json.dumps(summary, allow_nan=False)
        write_whole(options.out, f"{text}\n".encode())
    except (ValueError, OSError) as error:
        parser.exit(2, f"evaluate: {error}\n")
    except KeyboardInterrupt:
        parser.exit(STOPPED, f"evaluate: stopped; {options.out} was not written\n")
    print(to_markdown([summary]))


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mst_jax.evaluate", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, help="folder of a training run")
    add("--dataset", required=True, help="a prepared set, such as grabcut")
    add("--data_dir", required=True, type=Path, help="where prepared sets live")
    add("--out", required=True, type=Path, help="JSON file to write")
    add("--split", help="default: the first there is of " + ", ".join(SPLITS))
    add(
        "--zoom",
        metavar="N",
        default=AS_TRAINED,
        help="side the network sees, or none; default: as trained",
    )
    add(
        "--zoom-min-side",
        metavar="N",
        type=int,
        default=argparse.SUPPRESS,
        help="least side zoomed in on, pixels; default: as trained",
    )
    add(
        "--no-mirror",
        dest="mirror",
        action="store_const",
        const=False,
        default=AS_TRAINED,
        help="do not look at the mirror picture too",
    )
    add("--max-clicks", type=int, default=20, help="clicks an object")
    add(
        "--min-area", type=float, default=0.0, help="least object, share of the picture"
    )
    add("--limit", type=int, help="evaluate the first so many objects only")
    return parser


def evaluate(options: argparse.Namespace) -> dict:
    """Clicks every object to the end, so that mIoU@k is exact for every k.

    Returns:
        The numbers, see `evaluation.summary.summarise`.

    Raises:
        ValueError: no such set, split or checkpoint, or a number out of range.
    """
    check_numbers(options)
    check_room(options.out)
    split = options.split or find_split(options.dataset, options.data_dir)
    source = open_source(options.dataset, options.data_dir, split)
    model = load(options.checkpoint)
    settings = choose_view(
        model.config,
        zoom=read_zoom(options.zoom),
        zoom_min_side=getattr(options, "zoom_min_side", AS_TRAINED),
        mirror=options.mirror,
    )
    settings["max_clicks"] = options.max_clicks
    chosen = {"limit": options.limit, "min_area": options.min_area}
    records = click_all(model, source, **chosen, **settings)
    if not records:
        raise ValueError(
            f"{options.dataset} has no object of at least {options.min_area:g} of its "
            f"picture in split {split!r}; lower --min-area or choose another --split"
        )
    settings |= {"checkpoint": str(options.checkpoint), "split": split, **chosen}
    return summarise(
        options.dataset, records, max_clicks=options.max_clicks, settings=settings
    )


def check_numbers(options: argparse.Namespace) -> None:
    """Raises ValueError for a number out of range."""
    for flag, value in (
        ("--max-clicks", options.max_clicks),
        ("--limit", options.limit),
    ):
        if value is not None and value < 1:
            raise ValueError(f"{flag} is {value}, expected 1 or more")
    if not 0.0 <= options.min_area <= 1.0:
        raise ValueError(f"--min-area is {options.min_area}, expected 0 to 1")


def find_split(name: str, data_dir: Path) -> str:
    """The split of a prepared set that is meant for testing, or the best there is."""
    splits = list_splits(name, data_dir)
    return next((split for split in SPLITS if split in splits), splits[0])


def click_all(
    model: Model,
    source: Source,
    *,
    limit: int | None,
    min_area: float,
    **settings: int | bool | None,
) -> list[Record]:
    """Plays the session of each object and shows how far it is."""
    records = []
    with tqdm(source, unit="picture", dynamic_ncols=True) as bar:
        targets = evaluation_targets(bar, min_area=min_area)
        for target in itertools.islice(targets, limit):
            records.append(click_one(model, target, **settings))
            bar.set_postfix(
                refresh=False,
                objects=len(records),
                iou=f"{sum(record.ious[-1] for record in records) / len(records):.3f}",
            )
    return records


def click_one(
    model: Model, target: EvaluationTarget, **settings: int | bool | None
) -> Record:
    """Plays the session of one object to its last click."""
    end = simulate(model, target.image, target.target, target.valid, **settings)
    seconds = end.seconds * len(end.ious)
    return Record(target.id, end.ious, end.clicks, seconds)


if __name__ == "__main__":
    main()

r"""How many clicks does a model need on a data set?

python -m mst_jax.evaluate --checkpoint RUN --dataset grabcut,berkeley \
  --data_dir data --out noc.json --report report

Killed, the same command goes on with the objects that are not yet done.
"""

import argparse
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from mst_jax.atomic_io import check_room, write_whole
from mst_jax.data.dataset import list_splits
from mst_jax.evaluation.evaluation_task import Task, click_set
from mst_jax.evaluation.journal import Journal
from mst_jax.evaluation.protocol import Protocol, published_view
from mst_jax.evaluation.result_tables import to_csv, to_markdown
from mst_jax.interaction.inference_options import choose_view, read_zoom
from mst_jax.interaction.refine import STILL
from mst_jax.models.load import TrainedModel, load

# The first of these that a set has is evaluated.
SPLITS = ("test", "val", "validation", "train")
STOPPED = 130


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluates what the command line names, prints the tables and writes the files."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        summaries = evaluate(options)
    except (ValueError, OSError) as error:
        parser.exit(2, f"evaluate: {error}\n")
    except KeyboardInterrupt:
        parser.exit(STOPPED, "evaluate: stopped; the same command goes on from here\n")
    print(to_markdown(summaries))


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mst_jax.evaluate", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help="a run, or published weights")
    add("--dataset", required=True, help="prepared sets, such as grabcut,berkeley")
    add("--data_dir", required=True, type=Path, help="where prepared sets live")
    add("--out", required=True, type=Path, help="JSON file to write")
    add("--csv", type=Path, help="file to write, one row an object")
    add("--markdown", type=Path, help="file to write the printed tables to")
    add("--report", type=Path, metavar="DIR", help="write DIR/index.html with pictures")
    add(
        "--compare", type=Path, nargs="+", default=[], help="earlier JSON, for the plot"
    )
    add("--split", help="default: the first there is of " + ", ".join(SPLITS))
    add(
        "--min-area", type=float, default=0.0, help="least object, share of the picture"
    )
    add("--limit", type=int, help="the first so many objects of a set only")
    add("--lanes", type=int, help="objects side by side; changes the speed only")
    add("--restart", action="store_true", help="forget what a killed run has done")
    _add_view(parser.add_argument_group("what the network sees"))
    _add_user(parser.add_argument_group("what the user does"))
    return parser


def _add_view(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--view",
        choices=("literature", "mst"),
        help="as published: zoom 448 (DAVIS: 672), least side 200; mst: 20, and clicks "
        "outside are dropped; default: as trained",
    )
    add("--zoom", metavar="N", help="side the network sees, or none")
    add(
        "--zoom-min-side", metavar="N", type=int, help="least side zoomed in on, pixels"
    )
    add(
        "--no-mirror",
        dest="mirror",
        action="store_const",
        const=False,
        help="do not look at the mirror picture too",
    )
    add(
        "--refine",
        type=int,
        default=0,
        metavar="N",
        help="look N times more at each click (cascade-forward refinement)",
    )
    add("--refine-clicks", type=int, metavar="N", help="at the first N clicks only")
    add(
        "--refine-until",
        type=int,
        nargs="?",
        const=STILL,
        metavar="PIXELS",
        help=f"no more looks once so few pixels change (without a number: {STILL})",
    )


def _add_user(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--max-clicks", type=int, default=20, help="clicks an object")
    add(
        "--stop-iou",
        type=float,
        default=1.01,
        help="stop at this IoU: quicker, the same NoC up to it, no mIoU",
    )
    add(
        "--spread",
        type=float,
        default=0.0,
        help="how far clicks fall from the best place, as a share of its distance to the "
        "edge of the error",
    )
    add("--first", choices=("best", "anywhere"), default="best", help="first click")
    add("--users", type=int, default=1, help="repeat with so many users who differ")


def evaluate(options: argparse.Namespace) -> list[dict]:
    """Clicks the objects of all sets and writes the files.

    Returns:
        The numbers of each set, see `evaluation.summary.summarise`.

    Raises:
        ValueError: no such set, split or checkpoint, or a number out of range.
    """
    check_options(options)
    compared = {path.stem: read_summaries(path) for path in options.compare}
    model = load(options.checkpoint)
    tasks = [make_task(options, model, name) for name in options.dataset.split(",")]
    place = options.out.with_suffix(".jsonl")
    if options.restart:
        place.unlink(missing_ok=True)
    wanted = {"checkpoint": str(options.checkpoint), "parameters": fingerprint(model)}
    journal = Journal(place, wanted | {"sets": [task.to_plain() for task in tasks]})
    try:
        summaries = [
            click_set(model, task, journal, lanes=options.lanes) for task in tasks
        ]
        for summary in summaries:
            summary["settings"] |= wanted
        write_results(options, summaries)
        if options.report:
            write_report(options.report, model, tasks, summaries, compared)
    finally:
        journal.close()
    place.unlink()
    return summaries


def check_options(options: argparse.Namespace) -> None:
    """Raises ValueError for a number out of range or a file that cannot be written."""
    for name in ("max_clicks", "limit", "lanes", "users"):
        value = getattr(options, name)
        if value is not None and value < 1:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} is {value}, expected 1 or more")
    if not 0.0 <= options.min_area <= 1.0:
        raise ValueError(f"--min-area is {options.min_area}, expected 0 to 1")
    if not options.stop_iou > 0.8:
        raise ValueError(f"--stop-iou is {options.stop_iou}, expected more than 0.8")
    for path in (options.out, options.csv, options.markdown):
        if path is not None:
            check_room(path)
    if options.report:
        check_room(options.report / "index.html")


def make_task(options: argparse.Namespace, model: TrainedModel, name: str) -> Task:
    """All that the numbers of one set depend on, besides the parameters.

    Raises:
        ValueError: no such set or split, or a setting out of range.
    """
    published = published_view(options.view, name) if options.view else {}
    drop_outside = published.pop("drop_outside", False)
    given = {"zoom_min_side": options.zoom_min_side, "mirror": options.mirror}
    asked = published | {key: x for key, x in given.items() if x is not None}
    if options.zoom is not None:
        asked["zoom"] = read_zoom(options.zoom)
    protocol = Protocol(
        max_clicks=options.max_clicks,
        **choose_view(model.config, **asked),
        drop_outside=drop_outside,
        more_looks=options.refine,
        look_clicks=options.refine_clicks,
        least_change=options.refine_until,
        spread=options.spread,
        first=options.first,
    )
    task = Task(
        dataset=name,
        data_dir=str(options.data_dir),
        split=options.split or find_split(name, options.data_dir),
        limit=options.limit,
        min_area=options.min_area,
        users=options.users,
        stop_iou=options.stop_iou,
        protocol=protocol,
    )
    task.open()
    return task


def find_split(name: str, data_dir: Path) -> str:
    """The split of a prepared set that is meant for testing, or the best there is."""
    splits = list_splits(name, data_dir)
    return next((split for split in SPLITS if split in splits), splits[0])


def fingerprint(model: TrainedModel) -> str:
    """A short name for the parameters: others have another one."""
    number = 0
    for leaf in jax.tree.leaves(model.params):
        number = zlib.crc32(np.ascontiguousarray(leaf), number)
    return f"{number:08x}"


def write_results(options: argparse.Namespace, summaries: list[dict]) -> None:
    """Writes the JSON, and the other files that were asked for."""
    text = json.dumps({"sets": summaries}, allow_nan=False)
    write_whole(options.out, f"{text}\n".encode())
    if options.csv:
        write_whole(options.csv, to_csv(summaries).encode())
    if options.markdown:
        write_whole(options.markdown, f"{to_markdown(summaries)}\n".encode())


def read_summaries(path: Path) -> list[dict]:
    """Reads back what `write_results` wrote; ValueError if it is something else."""
    try:
        return json.loads(path.read_bytes())["sets"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not the JSON of an evaluation") from None


def write_report(
    folder: Path,
    model: TrainedModel,
    tasks: list[Task],
    summaries: list[dict],
    compared: dict[str, list[dict]],
) -> None:
    """Writes `folder/index.html`: tables, plots, the worst and the best sessions."""
    # Plots need matplotlib, which an evaluation without report does not.
    from mst_jax.reporting.evaluation_report import assemble, tell_sessions

    sheets = {
        task.dataset: tell_sessions(
            model,
            lambda task=task: task.targets(task.open()),
            one,
            **vars(task.protocol),
        )
        for task, one in zip(tasks, summaries, strict=True)
    }
    others = {
        f"{name}: {one['dataset']}": one for name in compared for one in compared[name]
    }
    page = assemble(summaries, sheets, compared=others)
    write_whole(folder / "index.html", page.encode())


if __name__ == "__main__":
    main()

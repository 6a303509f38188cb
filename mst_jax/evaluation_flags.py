"""Flags of the evaluation command, and their ranges."""

import argparse
from pathlib import Path

from mst_jax.atomic_io import check_writable
from mst_jax.command_line import CommandParser, add_dtype_flag, add_zoom_flags
from mst_jax.compilation_cache import add_cache_flag
from mst_jax.evaluation.evaluation_task import PREFERRED_SPLITS
from mst_jax.evaluation.simulation import NEVER_STOP
from mst_jax.interaction.refine import CONVERGENCE_PIXELS

# Name of the report in the folder of --report.
REPORT_FILE = "index.html"


def make_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m mst_jax.evaluate",
        description="Measure how many clicks a model needs on prepared datasets.",
    )
    add = parser.add_argument
    # What is evaluated, and where the results go.
    add(
        "--checkpoint",
        required=True,
        help="a training run, a converted model, published weights or an exported file",
    )
    add(
        "--dataset",
        required=True,
        help="names of prepared datasets, separated by commas, such as grabcut,berkeley",
    )
    add("--data-dir", required=True, type=Path, help="folder of the prepared datasets")
    add("--out", required=True, type=Path, help="JSON file to write")
    add(
        "--csv",
        type=Path,
        help="CSV file to write: one row for each object and simulated user",
    )
    add("--markdown", type=Path, help="file to write the printed tables to")
    add("--report", type=Path, metavar="DIR", help="write DIR/index.html with images")
    add(
        "--compare",
        type=Path,
        nargs="+",
        default=[],
        help="JSON files of earlier evaluations, for the plot of --report",
    )
    # Which objects are evaluated, and how the command runs.
    add(
        "--split",
        help="split, or a part of it such as train[80%%:]; default: the split of this "
        "dataset that the model was validated on, else the first of "
        f"{', '.join(PREFERRED_SPLITS)} that the dataset has",
    )
    add(
        "--min-area-fraction",
        type=float,
        default=0.0,
        help="minimum area of an object as a fraction of the image, 0 to 1",
    )
    add("--limit", type=int, help="evaluate only the first LIMIT objects of a dataset")
    add(
        "--batch-size",
        type=int,
        help="number of objects that are evaluated side by side; affects the speed only",
    )
    add(
        "--restart",
        action="store_true",
        help="discard the results of an interrupted evaluation and start again",
    )
    add_cache_flag(parser)
    _add_prediction_flags(parser.add_argument_group("prediction"))
    _add_user_flags(parser.add_argument_group("simulated user"))
    return parser


def _add_prediction_flags(flag_group: argparse._ArgumentGroup) -> None:
    """Add the flags of zoom and refinement."""
    add = flag_group.add_argument
    add(
        "--protocol",
        choices=("literature", "mst"),
        help="literature: zoom 448 (DAVIS: 672), minimum side 200, flip test-time "
        "augmentation; mst: the same with minimum side 20, and clicks outside the region "
        "of interest are dropped; default: as trained",
    )
    add_zoom_flags(flag_group, max_growths=0)
    add_dtype_flag(flag_group)
    add(
        "--refine-steps",
        type=int,
        default=0,
        metavar="N",
        help="cascade-forward refinement: N more forward passes after each click",
    )
    add(
        "--refine-max-clicks",
        type=int,
        metavar="N",
        help="refine the first N clicks only",
    )
    add(
        "--refine-convergence-pixels",
        type=int,
        nargs="?",
        const=CONVERGENCE_PIXELS,
        metavar="PIXELS",
        help="stop refining after a step that changed at most PIXELS pixels "
        f"({CONVERGENCE_PIXELS} if PIXELS is not given)",
    )


def _add_user_flags(flag_group: argparse._ArgumentGroup) -> None:
    """Add the flags of the simulated user."""
    add = flag_group.add_argument
    add(
        "--max-clicks",
        type=int,
        default=20,
        help="maximum number of clicks on an object; default: 20",
    )
    add(
        "--stop-iou",
        type=float,
        default=NEVER_STOP,
        help="end a session at this IoU, which is faster; NoC and NoF up to this IoU are "
        "the same, and mIoU is not reported",
    )
    add(
        "--click-spread",
        type=float,
        default=0.0,
        help="standard deviation of the clicks around the center of the largest error, "
        "relative to the distance from the center to the edge of the error",
    )
    add(
        "--first-click",
        choices=("center", "random"),
        default="center",
        help="first click in the center of the object, or on a random pixel of it",
    )
    add(
        "--num-users",
        type=int,
        default=1,
        help="repeat with this number of users whose random clicks differ",
    )


def check_flags(options: argparse.Namespace) -> None:
    """Raise ValueError for a number out of range or a file that cannot be written.

    Args:
        options: Values of the flags, see `make_parser`.
    """
    # Flags that count something.
    for option_name in ("max_clicks", "limit", "batch_size", "num_users"):
        flag_value = getattr(options, option_name)
        if flag_value is not None and flag_value < 1:
            flag_name = option_name.replace("_", "-")
            raise ValueError(f"--{flag_name} is {flag_value}, expected 1 or more")
    min_fraction = options.min_area_fraction
    if not 0.0 <= min_fraction <= 1.0:
        raise ValueError(f"--min-area-fraction is {min_fraction}, expected 0 to 1")
    # The lowest target IoU of NoC is 80 %. Not `<=`: NaN is rejected as well.
    if not (0.8 < options.stop_iou <= 1.0 or options.stop_iou == NEVER_STOP):
        raise ValueError(
            f"--stop-iou is {options.stop_iou}, expected more than 0.8 and at most 1, "
            "such as 0.9"
        )
    # A wrong path fails now rather than after hours of evaluation.
    for output_path in (options.out, options.csv, options.markdown):
        if output_path is not None:
            check_writable(output_path)
    if options.report:
        check_writable(options.report / REPORT_FILE)

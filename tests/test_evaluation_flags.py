"""Flags of the evaluation command: defaults and ranges."""

import pytest

from mst_jax.evaluation.simulation import NEVER_STOP
from mst_jax.evaluation_flags import check_flags, make_parser

REQUIRED = ["--checkpoint", "a", "--dataset", "b", "--data-dir", "c", "--out", "d.json"]


def test_the_defaults_are_those_of_the_published_protocol():
    options = make_parser().parse_args(REQUIRED)
    check_flags(options)
    assert (options.max_clicks, options.num_users, options.limit) == (20, 1, None)
    assert (options.click_spread, options.first_click) == (0.0, "center")
    assert (options.stop_iou, options.refine_steps) == (NEVER_STOP, 0)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--max-clicks", "0", "--max-clicks is 0, expected 1 or more"),
        ("--limit", "-1", "--limit is -1, expected 1 or more"),
        ("--num-users", "0", "--num-users is 0, expected 1 or more"),
        ("--batch-size", "0", "--batch-size is 0, expected 1 or more"),
        ("--stop-iou", "0.8", "--stop-iou is 0.8, expected more than 0.8"),
        (
            "--stop-iou",
            "90",
            "--stop-iou is 90.0, expected more than 0.8 and at most 1",
        ),
        ("--stop-iou", "nan", "--stop-iou is nan, expected more than 0.8"),
        ("--min-area-fraction", "1.5", "--min-area-fraction is 1.5, expected 0 to 1"),
        ("--csv", "/", "/ is a folder, expected a file"),
        ("--report", "/dev/null", "/dev/null is not a folder"),
    ],
)
def test_values_out_of_range_are_one_sentence(flag, value, message):
    options = make_parser().parse_args([*REQUIRED, flag, value])
    with pytest.raises(ValueError, match=message):
        check_flags(options)

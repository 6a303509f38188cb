import pytest

from mst_jax.evaluation import table

SUMMARY = {
    "dataset": "grabcut",
    "num_objects": 50,
    "noc": {"85": 2.345, "90": 12.0},
    "nof": {"85": 0, "90": 7},
    "miou": [0.5, 0.6, 0.7, 0.71, 0.72],
    "spc": 0.1234,
}
TABLE = """\
| data set | objects | NoC@85 | NoC@90 | NoF@85 | NoF@90 |
| -------- | ------: | -----: | -----: | -----: | -----: |
| grabcut  |      50 |   2.35 |  12.00 |      0 |      7 |

| data set | mIoU@1 | mIoU@2 | mIoU@3 | mIoU@5 | mIoU@10 | mIoU@20 | s/click |
| -------- | -----: | -----: | -----: | -----: | ------: | ------: | ------: |
| grabcut  |   50.0 |   60.0 |   70.0 |   72.0 |         |         |   0.123 |"""


def test_the_table_by_hand():
    assert table.to_markdown([SUMMARY]) == TABLE


def test_every_line_is_as_long_as_its_head_and_fits_a_terminal():
    long_name = {**SUMMARY, "dataset": "a rather long name", "num_objects": 6671}
    for part in table.to_markdown([SUMMARY, long_name]).split("\n\n"):
        lengths = {len(line) for line in part.splitlines()}
        assert len(lengths) == 1
        assert max(lengths) <= 120


def test_no_summary():
    with pytest.raises(ValueError, match="at least one summary"):
        table.to_markdown([])

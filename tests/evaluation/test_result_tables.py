import pytest

from mst_jax.evaluation import result_tables

SUMMARY = {
    "dataset": "toys",
    "num_objects": 50,
    "settings": {"split": "val", "max_clicks": 5, "checkpoint": "runs/a"},
    "noc": {"85": 2.345, "90": 12.0},
    "noc_std": {"85": 1.0, "90": 0.5},
    "noc_ci95": {"85": [2.0, 3.0], "90": [11.5, 12.25]},
    "nof": {"85": 0, "90": 7},
    "miou": [0.5, 0.6, 0.7, 0.71, 0.72],
    "miou_ci95": [[0.4, 0.6], [0.5, 0.7], [0.6, 0.8], [0.7, 0.72], [0.701, 0.7345]],
    "boundary_iou": 0.456,
    "boundary_iou_ci95": [0.4, 0.5],
    "by_size": [
        {
            "min_area_fraction": 0.0,
            "max_area_fraction": 0.01,
            "num_sessions": 50,
            "noc": {"85": 2.345, "90": 12.0},
            "noc_std": {"85": 1.0, "90": 0.5},
            "nof": {"85": 0, "90": 7},
        }
    ],
    "by_user": [{"seed": 0, "noc": {"85": 2.345, "90": 12.0}}],
    "seconds_per_click": 0.1234,
    "total_seconds": 1.7,
    "objects": [
        {
            "id": "a",
            "seed": 0,
            "area_fraction": 0.005,
            "seconds": 0.5,
            "boundary_iou": 0.25,
            "ious": [0.5, 0.875],
        }
    ],
}
TABLE = """\
| clicks needed | split | objects | NoC@85 | NoC@90 | NoF@85 | NoF@90 |
| ------------- | ----: | ------: | -----: | -----: | -----: | -----: |
| toys          |   val |      50 |   2.35 |  12.00 |      0 |      7 |

| std, 95 % CI |               NoC@85 |                 NoC@90 |
| ------------ | -------------------: | ---------------------: |
| toys         | ± 1.00, 2.00 to 3.00 | ± 0.50, 11.50 to 12.25 |

| IoU, % | mIoU@1 | mIoU@2 | mIoU@3 | mIoU@5 | mIoU@10 | mIoU@20 | boundary | s/click |  s |
| ------ | -----: | -----: | -----: | -----: | ------: | ------: | -------: | ------: | -: |
| toys   |   50.0 |   60.0 |   70.0 |   72.0 |         |         |     45.6 |   0.123 |  2 |

| 95 % CI of the IoU, % |       mIoU@1 |       mIoU@3 |       mIoU@5 |     boundary |
| --------------------- | -----------: | -----------: | -----------: | -----------: |
| toys                  | 40.0 to 60.0 | 60.0 to 80.0 | 70.1 to 73.5 | 40.0 to 50.0 |

| toys: object area | sessions |      NoC@85 |       NoC@90 | NoF@85 | NoF@90 |
| ----------------- | -------: | ----------: | -----------: | -----: | -----: |
| 0 to 1 %          |       50 | 2.35 ± 1.00 | 12.00 ± 0.50 |      0 |      7 |"""


def test_the_tables_by_hand():
    assert result_tables.to_markdown([SUMMARY]) == TABLE


def test_all_lines_of_a_table_have_the_same_length():
    long_name = {**SUMMARY, "dataset": "a rather long name", "num_objects": 6671}
    for table in result_tables.to_markdown([SUMMARY, long_name]).split("\n\n"):
        assert len({len(line) for line in table.splitlines()}) == 1


def test_several_users_have_a_table():
    users = [
        {"seed": seed, "noc": {"85": 2.0 + seed, "90": 12.0}} for seed in (0, 1, 5)
    ]
    markdown = result_tables.to_markdown([SUMMARY | {"by_user": users}])
    assert "| user 5      |   7.00 |  12.00 |" in markdown
    assert "| mean        |   4.00 |  12.00 |" in markdown
    assert "| max - min   |   5.00 |   0.00 |" in markdown


def test_training_images_are_named_beside_the_split():
    settings = SUMMARY["settings"] | {"num_training_images": 16}
    markdown = result_tables.to_markdown([SUMMARY | {"settings": settings}])
    assert "| toys          | val (16 training images) |      50 |" in markdown


def test_published_results_are_marked_and_cited():
    settings = SUMMARY["settings"] | {"max_clicks": 20, "split": "test", "num_users": 1}
    published_set = {"dataset": "berkeley", "num_objects": 100, "settings": settings}
    markdown = result_tables.to_markdown([SUMMARY | published_set])
    lines = [line for line in markdown.splitlines() if line.startswith("| SimpleClick")]
    assert any("SBD |   1.44 |   2.46 | published |" in line for line in lines)
    assert "| runs/a " in markdown and "12.00 |  measured |" in markdown
    assert "SimpleClick: Liu et al." in markdown
    # Not with fewer objects.
    assert "published" not in result_tables.to_markdown([SUMMARY])


def test_the_csv_has_a_row_for_each_object():
    assert result_tables.to_csv([SUMMARY]) == (
        "dataset,id,seed,area_fraction,seconds,boundary_iou,clicks_to_85,clicks_to_90,"
        "iou_1,iou_2,iou_3,iou_4,iou_5\n"
        "toys,a,0,0.005,0.5,0.25,2,5,0.5,0.875\n"
    )


def test_no_summary_is_refused():
    with pytest.raises(ValueError, match="at least one summary"):
        result_tables.to_markdown([])

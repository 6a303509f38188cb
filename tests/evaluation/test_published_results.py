import pytest

from mst_jax.evaluation.published_results import (
    PUBLISHED_IOU_PERCENTS,
    PUBLISHED_SETS,
    cite_sources,
    comparison_rows,
    published_results,
    source_citations,
)


def test_the_best_method_comes_last():
    results = published_results("davis")
    nocs = [row["noc"]["90"] for row in results]
    assert nocs == sorted(nocs, reverse=True) and len(results) > 5
    assert {row["method"] for row in results} >= {"SimpleClick ViT-B", "RITM HRNet32"}


def test_simpleclick_trained_on_sbd():
    """The values in the docstring of configs/sbd.py."""
    expected = {
        "grabcut": {"85": 1.40, "90": 1.54},
        "berkeley": {"85": 1.44, "90": 2.46},
        "sbd": {"85": 3.28, "90": 5.24},
        "davis": {"85": 4.10, "90": 5.48},
    }
    for dataset, noc in expected.items():
        nocs_by_method = {
            row["method"]: row["noc"]
            for row in published_results(dataset)
            if row["trained_on"] == "SBD"
        }
        assert nocs_by_method["SimpleClick ViT-B"] == noc


def test_adaptiveclick_and_mst_with_their_sources():
    """Unknown values have no key: MST has published no NoC@85."""
    rows_by_method = {
        (row["method"], row["trained_on"]): row for row in published_results("berkeley")
    }
    adaptiveclick_row = rows_by_method["AdaptiveClick ViT-B", "SBD"]
    assert adaptiveclick_row["noc"] == {"85": 1.38, "90": 2.18}
    assert "2305.04276" in source_citations(["AdaptiveClick"])["AdaptiveClick"]
    mst_row = rows_by_method["MST ViT-B + CL", "COCO+LVIS"]
    assert mst_row["noc"] == {"90": 1.50}
    assert "2401.04403" in source_citations(["MST"])["MST"]


def test_every_result_is_complete():
    for dataset in ("grabcut", "berkeley", "sbd", "davis", "pascal_voc", "coco_mval"):
        for row in published_results(dataset):
            assert set(row) == {"method", "trained_on", "source", "noc"}
            assert set(row["noc"]) <= set(PUBLISHED_IOU_PERCENTS)
            assert all(1 <= noc <= 20 for noc in row["noc"].values())
            assert source_citations([row["source"]])[row["source"]]


SETTINGS = {
    "split": "test",
    "limit": None,
    "min_area_fraction": 0.0,
    "num_users": 1,
    "max_clicks": 20,
    "user": {"click_spread": 0.0, "first_click": "center"},
}
SUMMARY = {
    "dataset": "grabcut",
    "num_objects": 50,
    "settings": SETTINGS,
    "noc": {"90": 3.0},
}


def test_nothing_is_published_for_unknown_datasets():
    summary = SUMMARY | {"dataset": "my images"}
    assert published_results("my images") == []
    assert comparison_rows(summary) == []


def test_a_summary_comes_after_the_published_results():
    *published, measured = comparison_rows(SUMMARY)
    assert len(published) == len(published_results("grabcut"))
    assert {row[-1] for row in published} == {"published"}
    assert measured == ["this model", "", "", "3.00", "measured"]
    assert "RITM: Sofiiuk et al." in cite_sources([SUMMARY])


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "folder/grabcut"},
        {"num_objects": 49},
        {"split": "train"},
        {"split": "test[:50%]"},
        {"limit": 50},
        {"min_area_fraction": 0.01},
        {"num_users": 2},
        {"max_clicks": 10},
        {"user": {"click_spread": 0.5, "first_click": "center"}},
        {"user": {"click_spread": 0.0, "first_click": "random"}},
    ],
    ids=str,
)
def test_only_the_published_protocol_is_compared(changes):
    """The whole published set, 20 clicks, one user who clicks at the best pixel."""
    settings = SETTINGS | {key: changes[key] for key in changes if key in SETTINGS}
    summary = {**SUMMARY, **changes, "settings": settings}
    assert comparison_rows(summary) == []
    with_comparison = SUMMARY | {"dataset": "sbd", "num_objects": 6671}
    with_comparison["settings"] = SETTINGS | {"split": "val"}
    assert cite_sources([summary, with_comparison]) == cite_sources([with_comparison])


def test_every_published_dataset_has_its_split_and_number_of_objects():
    for dataset, published_set in PUBLISHED_SETS.items():
        assert published_results(dataset)
        settings = SETTINGS | {"split": published_set.split}
        complete = {"dataset": dataset, "num_objects": published_set.num_objects}
        assert comparison_rows({**SUMMARY, **complete, "settings": settings})

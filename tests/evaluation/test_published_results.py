from mst_jax.evaluation.published_results import (
    PUBLISHED_IOU_PERCENTS,
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


def test_every_result_is_complete():
    for dataset in ("grabcut", "berkeley", "sbd", "davis", "pascal_voc", "coco_mval"):
        for row in published_results(dataset):
            assert set(row) == {"method", "trained_on", "source", "noc"}
            assert set(row["noc"]) <= set(PUBLISHED_IOU_PERCENTS)
            assert all(1 <= noc <= 20 for noc in row["noc"].values())
            assert source_citations([row["source"]])[row["source"]]


def test_nothing_is_published_for_unknown_datasets():
    summary = {"dataset": "my images", "settings": {}, "noc": {"90": 3.0}}
    assert published_results("my images") == []
    assert comparison_rows(summary) == []


def test_a_summary_comes_after_the_published_results():
    summary = {"dataset": "folder/grabcut", "settings": {}, "noc": {"90": 3.0}}
    *published, measured = comparison_rows(summary)
    assert len(published) == len(published_results("grabcut"))
    assert {row[-1] for row in published} == {"published"}
    assert measured == ["this model", "", "", "3.00", "measured"]
    assert "RITM: Sofiiuk et al." in cite_sources([summary])

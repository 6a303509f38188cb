from mst_jax.evaluation import published_results


def test_the_best_stands_last():
    rows = published_results.published_rows("davis")
    numbers = [row["noc"]["90"] for row in rows]
    assert numbers == sorted(numbers, reverse=True) and len(rows) > 5
    assert {row["method"] for row in rows} >= {"SimpleClick ViT-B", "RITM HRNet32"}


def test_simpleclick_on_sbd():
    """The numbers in the head of configs/sbd.py."""
    expected = {
        "grabcut": {"85": 1.40, "90": 1.54},
        "berkeley": {"85": 1.44, "90": 2.46},
        "sbd": {"85": 3.28, "90": 5.24},
        "davis": {"85": 4.10, "90": 5.48},
    }
    for dataset, noc in expected.items():
        rows = published_results.published_rows(dataset)
        assert {"SimpleClick ViT-B": noc}.items() <= {
            row["method"]: row["noc"] for row in rows if row["trained_on"] == "SBD"
        }.items()


def test_every_row_is_whole():
    for dataset in ("grabcut", "berkeley", "sbd", "davis", "pascal_voc", "coco_mval"):
        for row in published_results.published_rows(dataset):
            assert set(row) == {"method", "trained_on", "source", "noc"}
            assert set(row["noc"]) <= set(published_results.QUALITIES)
            assert all(1 <= number <= 20 for number in row["noc"].values())
            assert published_results.sources([row["source"]])[row["source"]]


def test_nothing_is_published_for_unknown_sets():
    assert published_results.published_rows("my pictures") == []

import json
import re

import numpy as np
import pytest

import mst_jax
from mst_jax import evaluate, prepare
from mst_jax.data.objects import evaluation_targets
from mst_jax.data.store import open_source
from mst_jax.evaluation import simulate
from tests.small_checkpoint import write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    sizes = ["--num-train", "1", "--num-validation", "2", "--size", "48"]
    prepare.main(["shapes", "--data_dir", str(folder), *sizes])
    return folder


@pytest.fixture
def command(checkpoint, data_dir, tmp_path):
    """Makes the command line; a word may be replaced, {} stands for the folder."""

    def make(*more, **replaced):
        words = {
            "checkpoint": checkpoint,
            "dataset": "shapes",
            "data_dir": data_dir,
            "out": tmp_path / "new" / "noc.json",
            "max-clicks": 4,
            **replaced,
        }
        flags = [word for key in words for word in (f"--{key}", words[key])]
        return [str(word).replace("{}", str(tmp_path)) for word in [*flags, *more]]

    return make


def test_the_whole_way(command, checkpoint, data_dir, tmp_path, capsys):
    evaluate.main(command())
    summary = json.loads((tmp_path / "new" / "noc.json").read_text())
    source = open_source("shapes", data_dir, "validation")
    targets = list(evaluation_targets(source))
    model = mst_jax.load(checkpoint)
    view = dict(zoom=32, zoom_min_side=16)
    assert [one["id"] for one in summary["objects"]] == [one.id for one in targets]
    for got, target in zip(summary["objects"], targets, strict=True):
        arguments = (target.image, target.target, target.valid)
        end = simulate(model, *arguments, max_clicks=4, **view)
        np.testing.assert_array_equal(got["clicks"], end.clicks)
        np.testing.assert_array_equal(np.float32(got["ious"]), end.ious)
        assert len(got["ious"]) == 4
    assert summary["dataset"] == "shapes" and summary["num_objects"] == len(targets)
    assert set(summary["noc"]) == set(summary["nof"]) == {"80", "85", "90", "95"}
    assert len(summary["miou"]) == 4 and summary["spc"] > 0
    assert summary["settings"] == {
        "zoom": 32,
        "zoom_min_side": 16,
        "mirror": True,
        "max_clicks": 4,
        "checkpoint": str(checkpoint),
        "split": "validation",
        "limit": None,
        "min_area": 0.0,
    }
    assert "| shapes   |" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["noc.json"]


def test_what_is_asked_for_is_done(command, tmp_path):
    asked = ["--limit", "1", "--no-mirror", "--split", "train", "--min-area", "0.02"]
    evaluate.main(command(*asked, zoom="48"))
    summary = json.loads((tmp_path / "new" / "noc.json").read_text())
    assert summary["num_objects"] == 1
    assert summary["objects"][0]["id"].startswith("train")
    settings = summary["settings"]
    assert settings["zoom"] == 48 and settings["mirror"] is False
    assert settings["min_area"] == 0.02 and settings["limit"] == 1


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (["test", "train"], "test"),
        (["train", "validation"], "validation"),
        (["train"], "train"),
        (["all", "some"], "all"),
    ],
)
def test_the_split_meant_for_testing_is_taken(monkeypatch, splits, expected):
    monkeypatch.setattr(evaluate, "list_splits", lambda name, data_dir: splits)
    assert evaluate.find_split("any", "any") == expected


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        (
            {"dataset": "grabcut"},
            "'grabcut' is not prepared .* mst_jax.prepare grabcut",
        ),
        ({"data_dir": "{}/none"}, "'shapes' is not prepared in .*none"),
        ({"split": "test"}, "cannot read split 'test' of shapes"),
        ({"checkpoint": "{}/none"}, "checkpoint .*none is not there"),
        ({"checkpoint": "{}"}, "no checkpoint in"),
        ({"zoom": "big"}, "--zoom is 'big', expected a whole number"),
        ({"zoom": "33"}, "patch"),
        ({"zoom-min-side": 0}, "zoom_min_side is 0"),
        ({"max-clicks": 0}, "--max-clicks is 0, expected 1 or more"),
        ({"limit": -1}, "--limit is -1, expected 1 or more"),
        ({"min-area": 1.5}, "--min-area is 1.5, expected 0 to 1"),
        ({"min-area": 1.0}, "shapes has no object of at least 1 of its picture"),
        ({"out": "{}"}, "is a folder, expected a file"),
    ],
    ids=str,
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    command, replaced, message, tmp_path, capsys
):
    with pytest.raises(SystemExit) as caught:
        evaluate.main(command(**replaced))
    assert caught.value.code == 2
    said = capsys.readouterr().err.split("evaluate: ")[-1]
    assert said.count("\n") == 1
    assert re.search(message, said), said
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_one_line_and_no_file(command, monkeypatch, tmp_path, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "simulate", interrupted)
    with pytest.raises(SystemExit) as caught:
        evaluate.main(command())
    assert caught.value.code == 130
    assert capsys.readouterr().err.endswith("noc.json was not written\n")
    assert list(tmp_path.iterdir()) == []


def test_an_older_result_is_kept_until_the_new_one_is_whole(command, tmp_path):
    place = tmp_path / "new" / "noc.json"
    place.parent.mkdir()
    place.write_text("old")
    with pytest.raises(SystemExit):
        evaluate.main(command(zoom="33"))
    assert place.read_text() == "old"

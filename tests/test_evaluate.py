import json
import re

import numpy as np
import pytest

import mst_jax
from mst_jax import evaluate, prepare
from mst_jax.data.dataset import open_source
from mst_jax.data.targets import evaluation_targets
from mst_jax.evaluation import simulate
from mst_jax.evaluation.journal import Journal
from tests.helpers.small_checkpoint import write_checkpoint


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


def read(folder):
    """The numbers of the only set."""
    (summary,) = json.loads((folder / "new" / "noc.json").read_text())["sets"]
    return summary


def test_the_whole_way(command, checkpoint, data_dir, tmp_path, capsys):
    more = {name: tmp_path / "new" / name for name in ("csv", "markdown", "report")}
    evaluate.main(command(**more))
    summary = read(tmp_path)
    source = open_source("shapes", data_dir, "validation")
    targets = list(evaluation_targets(source))
    model = mst_jax.load(checkpoint)
    view = dict(zoom=32, zoom_min_side=16)
    assert [one["id"] for one in summary["objects"]] == [one.id for one in targets]
    for got, target in zip(summary["objects"], targets, strict=True):
        arguments = (target.image, target.target, target.valid)
        end = simulate(model, *arguments, max_clicks=4, **view)
        np.testing.assert_array_equal(got["clicks"], end.clicks)
        np.testing.assert_allclose(got["ious"], end.ious, atol=1e-5)
    assert summary["dataset"] == "shapes" and summary["num_objects"] == len(targets)
    assert set(summary["noc"]) == set(summary["nof"]) == {"80", "85", "90", "95"}
    assert len(summary["miou"]) == 4 and summary["spc"] > 0
    told = summary["settings"]
    assert {
        "zoom": 32,
        "mirror": True,
        "max_clicks": 4,
        "limit": None,
    }.items() <= told.items()
    assert (told["split"], told["checkpoint"]) == ("validation", str(checkpoint))
    printed = capsys.readouterr().out
    assert "| shapes        |" in printed
    assert more["markdown"].read_text() == printed
    assert len(more["csv"].read_text().splitlines()) == 1 + len(targets)
    page = (more["report"] / "index.html").read_text()
    assert page.count("<img") == 5
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"noc.json", "csv", "markdown", "report"}


def test_what_is_asked_for_is_done(command, tmp_path):
    asked = ["--limit", "1", "--no-mirror", "--split", "train", "--min-area", "0.02"]
    asked += ["--refine", "2", "--refine-until", "--spread", "0.5", "--users", "2"]
    evaluate.main(command(*asked, zoom="48"))
    summary = read(tmp_path)
    assert summary["num_objects"] == 1 and len(summary["users"]) == 2
    assert summary["objects"][0]["id"].startswith("train")
    expected = {
        **{"zoom": 48, "mirror": False, "min_area": 0.02, "limit": 1, "spread": 0.5},
        **{"more_looks": 2, "least_change": 20, "look_clicks": None, "users": 2},
    }
    assert expected.items() <= summary["settings"].items()


def test_a_killed_evaluation_goes_on(command, monkeypatch, tmp_path, capsys):
    evaluate.main(command())
    whole = read(tmp_path)["objects"]
    place = tmp_path / "new" / "noc.jsonl"
    append, left = Journal.append, [1]

    def killed(journal, line):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        append(journal, line)

    monkeypatch.setattr(Journal, "append", killed)
    with pytest.raises(SystemExit) as caught:
        evaluate.main(command())
    assert caught.value.code == 130
    assert capsys.readouterr().err.endswith("the same command goes on from here\n")
    assert len(place.read_text().splitlines()) == 2

    with pytest.raises(SystemExit):
        evaluate.main(command("--no-mirror"))
    assert "with sets" in capsys.readouterr().err and place.exists()

    lines = []
    monkeypatch.setattr(
        Journal,
        "append",
        lambda journal, line: (lines.append(1), append(journal, line)),
    )
    evaluate.main(command())
    assert len(lines) == len(whole) - 1 and not place.exists()
    assert [one["clicks"] for one in read(tmp_path)["objects"]] == [
        one["clicks"] for one in whole
    ]


def test_a_published_view_holds_where_nothing_else_is_said(command, checkpoint):
    model = mst_jax.load(checkpoint)
    parse = evaluate.make_parser().parse_args
    for words, expected in (
        (["--view", "literature"], (448, 200, False)),
        (["--view", "mst", "--zoom", "64"], (64, 20, True)),
        ([], (32, 16, False)),
        (["--zoom", "none"], (None, 16, False)),
    ):
        task = evaluate.make_task(parse(command(*words)), model, "shapes")
        view = task.protocol
        assert (view.zoom, view.zoom_min_side, view.drop_outside) == expected


def test_an_earlier_result_is_drawn_beside(command, tmp_path):
    evaluate.main(command("--limit", "1"))
    old = tmp_path / "new" / "noc.json"
    old.rename(tmp_path / "older.json")
    more = ["--limit", "1", "--report", "{}/page", "--compare", "{}/older.json"]
    evaluate.main(command(*more))
    assert evaluate.read_summaries(tmp_path / "older.json")[0]["dataset"] == "shapes"
    (tmp_path / "older.json").write_text("[]")
    with pytest.raises(ValueError, match="is not the JSON of an evaluation"):
        evaluate.read_summaries(tmp_path / "older.json")


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
        ({"users": 0}, "--users is 0, expected 1 or more"),
        ({"lanes": 0}, "--lanes is 0, expected 1 or more"),
        ({"stop-iou": 0.5}, "--stop-iou is 0.5, expected more than 0.8"),
        ({"spread": -1}, "spread is -1.0, expected 0 or more"),
        ({"dataset": "shapes,grabcut"}, "'grabcut' is not prepared"),
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
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_older_result_is_kept_until_the_new_one_is_whole(command, tmp_path):
    place = tmp_path / "new" / "noc.json"
    place.parent.mkdir()
    place.write_text("old")
    with pytest.raises(SystemExit):
        evaluate.main(command(zoom="33"))
    assert place.read_text() == "old"

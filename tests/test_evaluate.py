import json
import re

import numpy as np
import pytest

import mst_jax
from mst_jax import evaluate, export, prepare
from mst_jax.data.dataset import open_dataset
from mst_jax.data.targets import evaluation_targets
from mst_jax.evaluation import EvaluationProtocol, simulate_batched
from mst_jax.evaluation.evaluation_task import default_batch_size
from mst_jax.evaluation.results_log import ResultsLog
from mst_jax.evaluation_flags import make_parser
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.small_checkpoint import SMALL_CONFIG, write_checkpoint

TRAINED_ZOOM = ZoomOptions(size=32, min_side=16)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    sizes = ["--num-train", "1", "--num-validation", "2", "--size", "48"]
    prepare.main(["shapes", "--data-dir", str(folder), *sizes])
    return folder


@pytest.fixture
def command(checkpoint, data_dir, tmp_path):
    """Returns a function that makes the command line; {} stands for the folder."""

    def make_command(*more_words, **replaced_flags):
        flags = {
            "checkpoint": checkpoint,
            "dataset": "shapes",
            "data-dir": data_dir,
            "out": tmp_path / "new" / "noc.json",
            "max-clicks": 4,
            **replaced_flags,
        }
        words = [word for name in flags for word in (f"--{name}", flags[name])]
        return [
            str(word).replace("{}", str(tmp_path)) for word in [*words, *more_words]
        ]

    return make_command


def read_summary(folder):
    """Reads the summary of the only dataset."""
    (summary,) = json.loads((folder / "new" / "noc.json").read_text())["datasets"]
    return summary


def test_the_command_evaluates_and_writes_all_files(
    command, checkpoint, data_dir, tmp_path, capsys
):
    files = {name: tmp_path / "new" / name for name in ("csv", "markdown", "report")}
    evaluate.main(command(**files))
    summary = read_summary(tmp_path)
    source = open_dataset("shapes", data_dir, "validation")
    targets = list(evaluation_targets(source))
    # 1. The sessions are those of the Python function.
    model = mst_jax.load(checkpoint)
    protocol = EvaluationProtocol(max_clicks=4, zoom=TRAINED_ZOOM)
    ids = [record["id"] for record in summary["objects"]]
    assert ids == [target.id for target in targets]
    ended = simulate_batched(
        model, targets, batch_size=default_batch_size(), protocol=protocol
    )
    sessions = {target.id: session for target, session in ended}
    for record in summary["objects"]:
        session = sessions[record["id"]]
        np.testing.assert_array_equal(record["clicks"], session.clicks)
        np.testing.assert_allclose(record["ious"], session.ious, atol=1e-5)
    # 2. The summary is complete.
    assert summary["dataset"] == "shapes" and summary["num_objects"] == len(targets)
    assert set(summary["noc"]) == set(summary["nof"]) == {"80", "85", "90", "95"}
    assert len(summary["miou"]) == 4 and summary["seconds_per_click"] > 0
    settings = summary["settings"]
    assert (settings["zoom"]["size"], settings["zoom"]["flip_tta"]) == (32, True)
    assert (settings["max_clicks"], settings["limit"]) == (4, None)
    assert settings["split"] == "validation"
    assert settings["checkpoint"] == str(checkpoint)
    # 3. So are the files.
    printed = capsys.readouterr().out
    assert "| shapes        |" in printed
    assert files["markdown"].read_text() == printed
    assert len(files["csv"].read_text().splitlines()) == 1 + len(targets)
    page = (files["report"] / "index.html").read_text()
    assert page.count("<img") == 5
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"noc.json", "csv", "markdown", "report"}


def test_flags_change_the_settings(command, tmp_path):
    words = ["--limit", "1", "--no-flip-tta", "--split", "train"]
    words += ["--min-area-fraction", "0.02", "--num-users", "2"]
    words += ["--refine-steps", "2", "--refine-convergence-pixels"]
    words += ["--click-spread", "0.5", "--first-click", "random"]
    evaluate.main(command(*words, zoom="48"))
    summary = read_summary(tmp_path)
    assert summary["num_objects"] == 1 and len(summary["by_user"]) == 2
    assert summary["objects"][0]["id"].startswith("train")
    settings = summary["settings"]
    assert settings["zoom"] == {
        **{"size": 48, "min_side": 16, "flip_tta": False, "drop_outside": False},
        "max_growths": 0,
    }
    assert settings["refinement"] == {
        **{"num_steps": 2, "max_clicks": None, "convergence_pixels": 20}
    }
    assert settings["user"] == {"click_spread": 0.5, "first_click": "random"}
    expected = {"min_area_fraction": 0.02, "limit": 1, "num_users": 2}
    assert expected.items() <= settings.items()


@pytest.mark.parametrize(
    ("split", "expected_cell", "warning"),
    [
        (None, "validation", ""),  # the run's own
        (
            "train",
            "train (1 training images)",
            "trained on 1 of the 1 images of shapes",
        ),
        ("train+validation", "(1 training images)", "1 of the 3 images"),
    ],
)
def test_training_images_are_named(
    command, tmp_path, capsys, split, expected_cell, warning
):
    data = {"name": "shapes", "split": "train[:50%]+train"}
    validation = {"name": "shapes", "split": "validation"}
    config = SMALL_CONFIG | {"data": data, "validation": validation}
    run = write_checkpoint(tmp_path / "run", config=config)
    split_words = ["--split", split] if split else []
    evaluate.main(command("--limit", "1", *split_words, checkpoint=run))
    printed = capsys.readouterr()
    assert expected_cell in printed.out.splitlines()[2]
    assert ("warning: " in printed.err) == bool(warning) and warning in printed.err


def test_a_killed_evaluation_resumes(command, monkeypatch, tmp_path, capsys):
    evaluate.main(command())
    uninterrupted = read_summary(tmp_path)["objects"]
    log_path = tmp_path / "new" / "noc.jsonl"
    append, appends_left = ResultsLog.append, [1]

    def append_once(log, result):
        if not appends_left:
            raise KeyboardInterrupt
        appends_left.pop()
        append(log, result)

    # 1. Killed after one session.
    monkeypatch.setattr(ResultsLog, "append", append_once)
    with pytest.raises(SystemExit) as exit_info:
        evaluate.main(command())
    assert exit_info.value.code == 130
    assert capsys.readouterr().err.endswith("the same command resumes it\n")
    assert len(log_path.read_text().splitlines()) == 2

    # 2. Other settings are refused.
    with pytest.raises(SystemExit):
        evaluate.main(command("--no-flip-tta"))
    assert "with datasets" in capsys.readouterr().err and log_path.exists()

    # 3. The same command runs the other sessions.
    appended = []

    def append_and_note(log, result):
        appended.append(result)
        append(log, result)

    monkeypatch.setattr(ResultsLog, "append", append_and_note)
    evaluate.main(command())
    assert len(appended) == len(uninterrupted) - 1 and not log_path.exists()
    assert [record["clicks"] for record in read_summary(tmp_path)["objects"]] == [
        record["clicks"] for record in uninterrupted
    ]


def test_zoom_flags_override_the_published_protocol(command, checkpoint):
    model = mst_jax.load(checkpoint)
    parser = make_parser()
    for words, expected in (
        (["--protocol", "literature"], (448, 200, False, 0)),
        (["--protocol", "mst", "--zoom", "64"], (64, 20, True, 0)),
        ([], (32, 16, False, 0)),
        (["--zoom", "none"], (None, 16, False, 0)),
        (["--protocol", "literature", "--zoom-max-growths", "2"], (448, 200, False, 2)),
    ):
        options = parser.parse_args(command(*words))
        zoom = evaluate.make_task(options, model, "shapes").protocol.zoom
        found = (zoom.size, zoom.min_side, zoom.drop_outside, zoom.max_growths)
        assert found == expected


def test_an_earlier_result_is_drawn_for_comparison(command, tmp_path):
    evaluate.main(command("--limit", "1"))
    (tmp_path / "new" / "noc.json").rename(tmp_path / "older.json")
    words = ["--limit", "1", "--report", "{}/page", "--compare", "{}/older.json"]
    evaluate.main(command(*words))
    page = (tmp_path / "page" / "index.html").read_text()
    assert page.count("<img") == 4
    (tmp_path / "older.json").write_text("[]")
    with pytest.raises(SystemExit) as exit_info:
        evaluate.main(command(*words))
    assert exit_info.value.code == 2


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        (
            {"dataset": "grabcut"},
            "'grabcut' is not prepared .* mst_jax.prepare grabcut",
        ),
        ({"data-dir": "{}/none"}, "'shapes' is not prepared in .*none"),
        ({"split": "test"}, "cannot read split 'test' of shapes"),
        ({"checkpoint": "{}/none"}, "checkpoint .*none is not there"),
        ({"checkpoint": "{}"}, "no checkpoint in"),
        ({"zoom": "big"}, "--zoom is 'big', expected a whole number"),
        ({"zoom": "33"}, "patch"),
        ({"zoom-min-side": 0}, "zoom min_side is 0"),
        ({"refine-steps": -1}, "refinement num_steps is -1"),
        ({"max-clicks": 0}, "--max-clicks is 0, expected 1 or more"),
        ({"click-spread": -1}, "click_spread is -1.0, expected 0 or more"),
        ({"dataset": "shapes,grabcut"}, "'grabcut' is not prepared"),
        (
            {"min-area-fraction": 1.0},
            "shapes has no object of at least 1 of its image",
        ),
        ({"out": "{}"}, "is a folder, expected a file"),
    ],
    ids=str,
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    command, replaced, message, tmp_path, capsys
):
    with pytest.raises(SystemExit) as exit_info:
        evaluate.main(command(**replaced))
    assert exit_info.value.code == 2
    error = capsys.readouterr().err.split("error: ")[-1]
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_older_result_is_kept_until_the_new_one_is_complete(command, tmp_path):
    result_path = tmp_path / "new" / "noc.json"
    result_path.parent.mkdir()
    result_path.write_text("old")
    with pytest.raises(SystemExit):
        evaluate.main(command(zoom="33"))
    assert result_path.read_text() == "old"


@pytest.mark.parametrize(
    "suffix", ["onnx", pytest.param("stablehlo", marks=pytest.mark.slow)]
)
def test_an_exported_file_has_the_sessions_of_its_model(
    suffix, command, checkpoint, tmp_path
):
    exported = tmp_path / f"network.{suffix}"
    export.main([str(checkpoint), str(exported)])
    ious = []
    for path in (checkpoint, exported):
        evaluate.main(command(checkpoint=path))
        ious.append([r["ious"] for r in read_summary(tmp_path)["objects"]])
    np.testing.assert_allclose(*ious, atol=1e-6)


def test_exported_files_have_different_checksums(checkpoint, tmp_path):
    paths = [tmp_path / f"{name}.stablehlo" for name in ("full", "half")]
    export.main([str(checkpoint), str(paths[0])])
    export.main([str(checkpoint), str(paths[1]), "--half"])
    checksums = {evaluate.model_checksum(mst_jax.load_exported(path)) for path in paths}
    assert len(checksums) == 2

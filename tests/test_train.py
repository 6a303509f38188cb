"""The command, as users run it: to the end, stopped and resumed, and told nonsense."""

from functools import partial

import jax
import numpy as np
import pytest

import mst_jax
from mst_jax import train
from mst_jax.checkpoints import store
from tests.helpers.tiny_run import draw_scenes, make_command, metrics


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    return partial(make_command, draw_scenes(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def unbroken(command, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "unbroken"
    train.main(command(workdir))
    return workdir


def test_the_log_has_one_line_for_each_step_and_says_what_is_asked(unbroken):
    rows = metrics(unbroken)
    assert [row["step"] for row in rows] == list(range(1, 13))
    wanted = {"loss", "normalized_focal", "iou", "learning_rate", "gradient_norm"}
    assert wanted < set(rows[0])
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    steps = {int(path.name) for path in (unbroken / "checkpoints").iterdir()}
    assert steps == {4, 8, 12}


def test_the_workdir_is_a_model(unbroken):
    model = mst_jax.load(unbroken)
    clicks = mst_jax.Clicks.from_lists([(9, 9)])
    batched = jax.tree.map(lambda leaf: leaf[None], clicks)
    logits = model(
        np.full((1, 32, 40, 3), 0.5, np.float32), batched, np.zeros((1, 32, 40))
    )
    assert np.isfinite(logits).all()
    assert model.config.steps == 12
    before = mst_jax.load(unbroken / "checkpoints" / "4")
    assert not np.array_equal(
        model.params["decoder"]["logits"]["kernel"],
        before.params["decoder"]["logits"]["kernel"],
    )


def test_a_finished_run_is_left_alone(unbroken, command, capsys):
    before = (unbroken / "metrics.jsonl").read_text()
    train.main(command(unbroken))
    assert (unbroken / "metrics.jsonl").read_text() == before


def test_ctrl_c_saves_and_the_same_command_goes_on(unbroken, command, tmp_path):
    """Ctrl-C between checkpoints: step 6 is saved, and nothing is lost or repeated."""
    config = train.read_config(
        [word for word in command(tmp_path) if "workdir" not in word][:2]
        + command(tmp_path)[4:]
    )
    asked = iter(range(1, 100))
    state = train.train(config, tmp_path, should_stop=lambda: next(asked) == 6)
    assert int(state.step) == 6
    assert [row["step"] for row in metrics(tmp_path)] == list(range(1, 7))
    train.main(command(tmp_path))
    assert metrics(tmp_path) == metrics(unbroken)


def test_a_run_that_diverges_names_the_step_and_keeps_its_checkpoint(
    command, tmp_path, capsys
):
    workdir = tmp_path / "wild"
    with pytest.raises(SystemExit) as exit_:
        train.main(
            command(workdir, "optimizer.learning_rate=1e30", "optimizer.clip_norm=0.0")
        )
    assert exit_.value.code == train.FAILED
    message = capsys.readouterr().err.splitlines()[-1]
    assert "at step" in message and "learning_rate" in message
    assert all(np.isfinite(row["loss"]) for row in metrics(workdir))


def refused(capsys, arguments):
    with pytest.raises(SystemExit) as exit_:
        train.main(arguments)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("model.name=sam", "no model 'sam'"),
        ("model.size=big", "no model size 'big'"),
        ("losses.normalized_focal=x", "normalized_focal"),
        ("optimizer.name=sgd", "choose one of adamw, adam"),
        ("batch=0", "config.batch is 0, expected 1 or more"),
        ("data.split=nowhere", "'nowhere'"),
        ("data.name=grabcut", "mst_jax.prepare grabcut"),
        ("nonsense=1", "no key"),
    ],
)
def test_nonsense_is_one_sentence_and_leaves_nothing(
    command, tmp_path, capsys, change, sentence
):
    workdir = tmp_path / "run"
    assert sentence in refused(capsys, command(workdir, change))
    assert not workdir.exists()


def test_another_model_in_the_workdir_is_refused(unbroken, command, capsys):
    before = store.read_config(unbroken)
    message = refused(capsys, command(unbroken, "model.depth=2"))
    assert "holds a run of the model" in message
    assert store.read_config(unbroken) == before


def test_a_workdir_that_is_a_file_is_refused(command, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "file" in refused(capsys, command(tmp_path / "file"))

"""The training command: to the end, stopped and resumed, and with wrong input."""

import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import mst_jax
from mst_jax import train
from mst_jax.checkpoints import model_folder, store
from mst_jax.training import train_loop, training_run
from mst_jax.training.config import read_config
from mst_jax.training.preemption import EXIT_FAILED
from tests.helpers.tiny_run import (
    assert_equal_runs,
    draw_scenes,
    exit_message,
    make_command,
    read_metrics,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    data_dir = draw_scenes(tmp_path_factory.mktemp("data"))
    changes = ("steps=12", "checkpoint_every=2")
    return lambda workdir, *more: make_command(data_dir, workdir, *changes, *more)


@pytest.fixture(scope="module")
def finished_with_step(command, tmp_path_factory):
    """The workdir of a finished run and its compiled step."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    compile_step, compiled_steps = training_run.compile_step, []

    def compile_and_keep_step(*args):
        compiled_steps.append(compile_step(*args))
        return compiled_steps[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_run, "compile_step", compile_and_keep_step)
        train.main(command(workdir))
    (train_step,) = compiled_steps
    return workdir, train_step


@pytest.fixture(scope="module")
def finished(finished_with_step):
    return finished_with_step[0]


@pytest.fixture
def reuse_step(finished_with_step, monkeypatch):
    """Returns a function after which runs of the same config do not trace their step."""
    _, train_step = finished_with_step
    return lambda: monkeypatch.setattr(
        training_run, "compile_step", lambda *_: train_step
    )


def test_the_log_has_one_line_for_each_step_with_all_metrics(finished):
    rows = read_metrics(finished)
    assert [row["step"] for row in rows] == list(range(1, 13))
    expected = {"loss", "normalized_focal", "iou", "learning_rate", "gradient_norm"}
    assert expected < set(rows[0])
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    steps = {int(path.name) for path in (finished / "checkpoints").iterdir()}
    assert steps == {4, 6, 8, 10, 12}


def test_the_workdir_is_a_model(finished):
    model = mst_jax.load(finished)
    clicks = mst_jax.Clicks.from_lists([(9, 9)])
    batched = jax.tree.map(lambda leaf: leaf[None], clicks)
    logits = model(
        np.full((1, 32, 40, 3), 0.5, np.float32), batched, np.zeros((1, 32, 40))
    )
    assert np.isfinite(logits).all()
    assert model.config.steps == 12
    earlier_model = mst_jax.load(finished / "checkpoints" / "4")
    assert not np.array_equal(
        model.params["decoder"]["logits"]["kernel"],
        earlier_model.params["decoder"]["logits"]["kernel"],
    )


def test_a_finished_run_is_not_changed(finished, command, capsys):
    before = (finished / "metrics.jsonl").read_text()
    train.main(command(finished))
    assert (finished / "metrics.jsonl").read_text() == before


def test_ctrl_c_saves_and_the_same_command_resumes(
    finished, command, tmp_path, reuse_step, monkeypatch
):
    """Ctrl-C between checkpoints: step 5 is saved, and nothing is lost or repeated."""
    flag, path, _, _, *changes = command(tmp_path)
    config = read_config([flag, path, *changes])
    num_calls = iter(range(1, 100))
    reuse_step()
    state = train.train(config, tmp_path, should_stop=lambda: next(num_calls) == 5)
    # The resumed run builds its step anew, as another process does.
    monkeypatch.undo()
    assert int(state.step) == 5 and max(store.list_steps(tmp_path)) == 5
    assert [row["step"] for row in read_metrics(tmp_path)] == list(range(1, 6))
    train.main(command(tmp_path))
    assert read_metrics(tmp_path) == read_metrics(finished)


def test_a_second_ctrl_c_is_one_sentence(command, tmp_path, capsys, monkeypatch):
    def stop(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "prepare_run", stop)
    with pytest.raises(SystemExit) as raised:
        train.main(command(tmp_path / "run"))
    assert raised.value.code == 130
    assert capsys.readouterr().err == (
        "stopped at once, without saving; the same command resumes from the newest "
        f"checkpoint in {tmp_path / 'run'}\n"
    )


def test_a_run_that_diverges_names_the_step_and_keeps_its_checkpoint(
    command, tmp_path, capsys, monkeypatch, reuse_step
):
    """The loss of step 6 is infinite; the step is the compiled one of the other runs."""
    reuse_step()
    run_train_loop = train_loop.run_train_loop

    def run_diverging_loop(train_step, *args, **options):
        def diverging_step(state, batch):
            state, metrics = train_step(state, batch)
            has_diverged = int(state.step) == 6
            return state, metrics | ({"loss": np.inf} if has_diverged else {})

        return run_train_loop(diverging_step, *args, **options)

    monkeypatch.setattr(train_loop, "run_train_loop", run_diverging_loop)
    with pytest.raises(SystemExit) as exit_:
        train.main(command(tmp_path / "run"))
    assert exit_.value.code == EXIT_FAILED
    message = capsys.readouterr().err.splitlines()[-1]
    assert "at step 6" in message and "learning_rate" in message
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [1, 2, 3, 4, 5]
    assert max(store.list_steps(tmp_path / "run")) == 4


def rejected_message(capsys, arguments):
    """Run the command with wrong input; return its one-sentence error."""
    return exit_message(capsys, arguments, 2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("model.name=sam", "no model 'sam'"),
        ("model.size=big", "no model size 'big'"),
        ("losses.normalized_focal=x", "normalized_focal"),
        ("optimizer.name=sgd", "choose one of adamw, adam"),
        ("batch=0", "config: batch is 0, expected 1 or more"),
        ("data.split=nowhere", "'nowhere'"),
        ("data.name=grabcut", "mst_jax.prepare grabcut"),
        ("nonsense=1", "no key"),
        ("steps=1", "config.optimizer.warmup is 2, more than the 1 steps of the run"),
        ("init_from=gone.pth", "gone.pth"),
        ("validation.name=gone", "'gone' is not prepared"),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(
    command, tmp_path, capsys, change, sentence
):
    workdir = tmp_path / "run"
    assert sentence in rejected_message(capsys, command(workdir, change))
    assert not workdir.exists()


def test_the_default_workdir_is_named_after_the_config():
    assert train.default_workdir("configs/sbd.py") == "runs/sbd"
    assert train.default_workdir("a/sbd.py:model=mst,size=base") == "runs/sbd-mst-base"


def test_a_run_without_workdir_does_not_resume_another_one(
    finished, command, tmp_path, monkeypatch, capsys
):
    """Its default workdir has a run with other values: the user must choose."""
    flag, path, _, _, *changes = command(None)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, tmp_path / "runs" / "tiny_config")
    message = rejected_message(capsys, [flag, path, *changes, "--config.batch=4"])
    assert "holds a run with other values: config.batch was 2 and is 4; give" in message
    train.main([flag, path, *changes])
    error = capsys.readouterr().err
    assert "start: resumes runs/tiny_config after step 12" in error
    assert error.splitlines()[-1].startswith("saved in runs/tiny_config, evaluate with")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("optimizer.clip_norm=0.0", "config.optimizer.clip_norm was 1.0 and is 0.0"),
        ("ema_decay=0.9", "config.ema_decay was 0.0 and is 0.9"),
        ("optimizer.frozen=('embed/.*',)", "config.optimizer.frozen was"),
    ],
)
def test_another_optimizer_state_in_the_workdir_is_refused(
    finished, command, capsys, change, text
):
    before = model_folder.read_config_json(finished)
    message = rejected_message(capsys, command(finished, "steps=13", change))
    assert f"hold another optimizer state than this config needs ({text}" in message
    assert "config.steps" not in message
    assert model_folder.read_config_json(finished) == before


def test_another_model_in_the_workdir_is_refused(finished, command, capsys):
    before = model_folder.read_config_json(finished)
    message = rejected_message(capsys, command(finished, "model.depth=2"))
    assert "holds a run of the model" in message
    assert model_folder.read_config_json(finished) == before


def test_a_workdir_that_is_a_file_is_refused(command, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "file" in rejected_message(capsys, command(tmp_path / "file"))


@pytest.mark.parametrize(("in_repository", "folder"), [(True, "."), (False, ROOT)])
def test_a_config_is_found_from_the_repository_and_from_elsewhere(
    tmp_path, in_repository, folder
):
    """It imports the configs beside it; the dataset is checked after it is read."""
    command = [
        sys.executable,
        "-m",
        "mst_jax.train",
        "--workdir",
        str(tmp_path / "run"),
    ]
    command += ["--config", f"{folder}/configs/quickstart.py"]
    command += ["--config.data.name=grabcut", f"--config.data.data_dir={tmp_path}"]
    process = subprocess.run(
        command,
        cwd=ROOT if in_repository else tmp_path,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert "mst_jax.prepare grabcut" in process.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_steps_of_damaged_checkpoints_are_repeated(
    finished, command, tmp_path, capfd, reuse_step
):
    """The last is truncated, the one before empty: both are named, nothing is lost."""
    reuse_step()
    workdir = shutil.copytree(finished, tmp_path / "run")
    *_, empty, cut = (
        workdir / "checkpoints" / str(step) for step in store.list_steps(workdir)
    )
    shutil.rmtree(empty)
    empty.mkdir()
    position = next((cut / "data").glob("process*"))
    position.write_bytes(position.read_bytes()[:-4])
    train.main(command(workdir))
    errors = capfd.readouterr().err
    for folder in (empty, cut):
        assert f"checkpoint {folder} is damaged" in errors
        assert (folder.with_name(f"{folder.name}.damaged")).exists()
    assert_equal_runs(workdir, finished)


def test_a_second_training_in_a_workdir_is_refused(
    finished, command, capsys, monkeypatch
):
    """The second ends at once and changes nothing of the first."""
    before = (finished / "metrics.jsonl").read_text()
    messages = []

    def run_second_training(_train_step, state, *_args, **_kwargs):
        messages.append(exit_message(capsys, command(finished, "seed=9"), 2))
        return state

    monkeypatch.setattr(train_loop, "run_train_loop", run_second_training)
    train.main(command(finished))
    assert f"another training runs in {finished}" in messages[0]
    assert (finished / "metrics.jsonl").read_text() == before
    assert model_folder.read_config_json(finished)["seed"] == 0


def test_a_changed_seed_is_named(finished, command, tmp_path, capfd):
    workdir = shutil.copytree(finished, tmp_path / "run")
    train.main(command(workdir, "seed=9"))
    errors = capfd.readouterr().err
    assert "config.seed was 0 and is 9: the run in" in errors
    assert "not as it would have without the change" in errors

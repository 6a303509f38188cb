import pytest

from mst_jax import config_options
from mst_jax.checkpoints import store
from mst_jax.training.workdir import changes, check_same_model, taken
from tests.helpers.tiny_config import get_config


@pytest.fixture
def workdir(tmp_path):
    """Of a run that has made a checkpoint."""
    store.write_config(tmp_path, config_options.as_json(get_config().to_dict()))
    (tmp_path / "checkpoints" / "4" / "params" / "d").mkdir(parents=True)
    return tmp_path


def test_a_run_of_another_model_is_refused(tmp_path):
    config = get_config()
    check_same_model(tmp_path, config)
    store.write_config(tmp_path, config.to_dict())
    check_same_model(tmp_path, config)
    config.model.depth = 2
    with pytest.raises(ValueError, match="holds a run of the model"):
        check_same_model(tmp_path, config)


def test_the_same_config_and_what_does_not_matter_are_not_spoken_of(workdir):
    config = get_config()
    assert changes(workdir, config) == []
    config.log_every, config.num_kept, config.start = 7, 9, "a.pth"
    config.data.data_dir, config.data.num_workers = "/elsewhere", 3
    config.evaluation.zoom_min_side = 99
    assert changes(workdir, config) == []


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("seed", 5, "config.seed was 0 and is 5"),
        ("batch", 4, "config.batch was 2 and is 4"),
        ("steps", 24, "config.steps was 12 and is 24"),
        ("data.name", "sbd", "config.data.name was 'shapes' and is 'sbd'"),
        ("optimizer.name", "adam", "config.optimizer.name was 'adamw' and is 'adam'"),
        ("losses.normalized_focal", 2.0, "config.losses.normalized_focal was 1.0 and"),
    ],
)
def test_what_changes_the_curve_is_named(workdir, key, value, told):
    config = get_config()
    config.update_from_flattened_dict({key: value})
    (sentence,) = changes(workdir, config)
    assert sentence.startswith(told) and "goes on, but not as it would" in sentence
    (workdir / "checkpoints" / "4" / "params" / "d").rmdir()
    (workdir / "checkpoints" / "4" / "params").rmdir()
    (workdir / "checkpoints" / "4").rmdir()
    assert changes(workdir, config) == []  # nothing goes on


def test_several_changes_and_new_keys_are_one_sentence(workdir):
    config = get_config()
    config.seed, config.crop = 1, 48
    with config.unlocked():
        config.data.gamma = 2.0
    (sentence,) = changes(workdir, config)
    expected = (
        "config.crop was 32 and is 48, config.data.gamma was None and is 2.0, "
        "config.model.crop was 32 and is 48, config.seed was 0 and is 1: the run in"
    )
    assert sentence.startswith(expected)


def test_a_workdir_is_of_one_run_and_in_order(workdir, capsys):
    config = get_config()
    config.seed = 3
    newest = workdir / "checkpoints" / "8"
    newest.mkdir()
    with taken(workdir, config):
        with (
            pytest.raises(ValueError, match="another training"),
            taken(workdir, config),
        ):
            pass
        assert store.steps_of(workdir) == [4]
    damaged, changed = capsys.readouterr().err.splitlines()
    assert "8 is damaged (the folder is empty)" in damaged
    assert changed.startswith("config.seed was 0 and is 3: ")

"""Configs are read and checked; what is wrong is one sentence."""

from pathlib import Path

import pytest

from mst_jax.training.config import check_config, read_config

CONFIGS = Path(__file__).parents[2] / "configs"
QUICKSTART = str(CONFIGS / "quickstart.py")


def test_a_config_takes_an_argument_and_changes():
    sbd = str(CONFIGS / "sbd.py")
    config = read_config(["--config", f"{sbd}:size=huge", "--config.batch=4"])
    assert (config.model.size, config.batch) == ("huge", 4)
    assert read_config(["--config", sbd]).model.size == "base"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config.stepz=3"], "the config has no key .*stepz"),
        (["--config.steps=many"], "config.steps=many"),
        (["--stepz=3"], "Unknown command line flag 'stepz'"),
        (["extra"], "expected --config FILE"),
    ],
)
def test_wrong_changes_are_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_config(["--config", QUICKSTART, *arguments])


def test_a_config_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read: .*gone\.py"):
        read_config(["--config", str(tmp_path / "gone.py")])


def test_a_key_of_another_kind_is_one_sentence():
    config = read_config(["--config", QUICKSTART])
    with config.unlocked():
        del config.losses
        config.losses = 3
    with pytest.raises(ValueError, match=r"config\.losses is 3, expected ConfigDict"):
        check_config(config)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"accumulate": 3}, r"accumulate is 3, which does not divide config\.batch 8"),
        ({"accumulate": 0}, r"config\.accumulate is 0, expected 1 or more"),
        ({"average": 1.0}, r"config\.average is 1\.0, expected 0 .* to less than 1"),
        ({"average": -0.5}, r"config\.average is -0\.5"),
        (
            {"teacher": "mst-small"},
            r"teacher is 'mst-small' and .*normalized_focal; a t",
        ),
        ({"fresh": ("decoder/.*",)}, r"config\.fresh is .*there is no config\.start"),
    ],
)
def test_numbers_that_cannot_be_are_one_sentence(changes, sentence):
    config = read_config(["--config", QUICKSTART])
    config.update(changes)
    with pytest.raises(ValueError, match=sentence):
        check_config(config)

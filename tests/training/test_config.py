"""Configs are read and checked; each error is one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from mst_jax.training.config import check_config, read_config
from mst_jax.training.optimizer import OptimizerOptions

CONFIGS = Path(__file__).parents[2] / "configs"
QUICKSTART = str(CONFIGS / "quickstart.py")


def test_a_config_takes_an_argument_and_changes():
    sbd = str(CONFIGS / "sbd.py")
    config = read_config(["--config", f"{sbd}:size=huge", "--config.batch=4"])
    assert (config.model.size, config.batch) == ("huge", 4)
    assert read_config(["--config", sbd]).model.size == "base"


def test_absent_values_can_be_set_by_flags():
    config = read_config(["--config", QUICKSTART])
    assert config.init_from is config.teacher is config.validation.name is None
    config = read_config(
        [
            f"--config={QUICKSTART}",
            "--config.init_from=runs/mst",
            "--config.reinit=('decoder/.*',)",
            "--config.validation.name=berkeley",
        ]
    )
    assert (config.init_from, config.reinit) == ("runs/mst", ("decoder/.*",))
    assert config.validation.name == "berkeley"


def test_a_config_is_read_from_any_folder(tmp_path):
    """Its neighbors are imported from its repository, not from the current folder."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "defaults.py").write_text("raise AssertionError\n")
    program = (
        "import sys\n"
        "from mst_jax.training.config import read_config\n"
        "path = list(sys.path)\n"
        "print(read_config(['--config', sys.argv[1]]).model.size)\n"
        "assert sys.path == path\n"
    )
    command = [sys.executable, "-c", program, str(CONFIGS / "sbd.py")]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.stdout == "base\n", process.stderr


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


def test_a_missing_config_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read: .*gone\.py"):
        read_config(["--config", str(tmp_path / "gone.py")])


def test_checked_values_have_their_types():
    options = check_config(read_config(["--config", QUICKSTART]))
    assert options.steps == 1400 and options.init_from is None
    assert isinstance(options.optimizer, OptimizerOptions)
    assert (options.clicks.max_initial, options.clicks.max_rounds) == (3, 3)
    assert (options.zoom.size, options.zoom.min_side) == (96, 40)
    assert options.losses == {"normalized_focal": 1.0}


def test_a_value_of_another_type_is_one_sentence():
    config = read_config(["--config", QUICKSTART])
    with config.unlocked():
        del config.losses
        config.losses = 3
    with pytest.raises(ValueError, match=r"config\.losses is 3, expected Mapping"):
        check_config(config)


def test_an_unknown_key_is_one_sentence():
    config = read_config(["--config", QUICKSTART])
    with config.unlocked():
        config.average = 0.5
    with pytest.raises(ValueError, match="config has unknown keys average; it takes"):
        check_config(config)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"grad_accum_steps": 3},
            "config: grad_accum_steps is 3, which does not divide batch 8",
        ),
        ({"grad_accum_steps": 0}, "config: grad_accum_steps is 0, expected 1 or more"),
        (
            {"ema_decay": 1.0},
            r"config: ema_decay is 1\.0, expected 0 .* to less than 1",
        ),
        ({"ema_decay": -0.5}, r"config: ema_decay is -0\.5"),
        (
            {"teacher": "mst-small"},
            r"teacher is 'mst-small' and .*normalized_focal; a t",
        ),
        ({"reinit": ("decoder/.*",)}, r"config: reinit is .*there is no init_from"),
        ({"clicks.max_initial": 0}, r"config\.clicks: max_initial is 0"),
        ({"clicks.max_rounds": -1}, r"config\.clicks: max_rounds is -1"),
        ({"zoom.min_side": 0}, r"config\.zoom: zoom min_side is 0"),
        ({"optimizer.warmup": -1}, r"config\.optimizer: warmup is -1"),
        ({"sharding.transform": "vmap"}, r"config\.sharding: transform is 'vmap'"),
    ],
)
def test_impossible_values_are_one_sentence(changes, sentence):
    config = read_config(["--config", QUICKSTART])
    config.update_from_flattened_dict(changes)
    with pytest.raises(ValueError, match=sentence):
        check_config(config)

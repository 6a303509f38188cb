"""Configs are read and checked; each error is one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from mst_jax.evaluation.validation import ValidationOptions
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
        (
            ["--config.stepz=3"],
            r"^config has no key 'stepz'; it takes seed, .*: steps\)",
        ),
        (["--config.steps=many"], "^config.steps is 'many', expected int$"),
        (["--config.steps"], "^config.steps has no value, expected int$"),
        (
            ["--stepz", "3"],
            r"^unknown argument --stepz; .*\(closest: --config.steps\)$",
        ),
        (["extra"], "^unknown argument extra; expected --config or changes such as"),
        (["--config.steps.much=1"], "^config.steps is a value without keys"),
    ],
)
def test_wrong_changes_are_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_config(["--config", QUICKSTART, *arguments])


def test_a_command_line_without_a_config_is_one_sentence():
    with pytest.raises(ValueError, match=r"^expected --config FILE and .* got nothing"):
        read_config([])


def test_any_key_can_be_set_whether_the_file_has_it_or_not():
    config = read_config(
        [
            "--config",
            QUICKSTART,
            "--config.optimizer.betas=(0.9, 0.95)",
            "--config.data.target_sampling.merge_prob=0.5",
            "--config.losses.dice=2",
            "--config.losses.normalized_focal.gamma=3",
            "--config.model.dropout=0",
            "--config.clicks.no_click_prob=0.25",
            "--config.validation.max_clicks=5",
        ],
        reader_blocks={"validation": ValidationOptions},
    )
    assert config.losses.to_dict() == {
        "normalized_focal": {"weight": 1.0, "gamma": 3.0},
        "dice": 2.0,
    }
    assert config.data.target_sampling.to_dict() == {"merge_prob": 0.5}
    assert config.validation.max_clicks == 5
    options = check_config(config)
    assert options.optimizer.betas == (0.9, 0.95)
    assert options.clicks.no_click_prob == 0.25


def test_the_keys_are_those_of_the_model_that_a_flag_names():
    words = ["--config", QUICKSTART, "--config.model.selection.keep_ratio=0.5"]
    with pytest.raises(ValueError, match=r"config\.model has no key 'selection'"):
        read_config(words)
    config = read_config([*words, "--config.model.name=mst"])
    assert config.model.selection.keep_ratio == 0.5
    with pytest.raises(ValueError, match=r"no model 'mts'; choose.*\(closest: mst\)"):
        read_config([*words, "--config.model.name=mts"])


def test_an_empty_value_is_an_absent_one():
    config = read_config(
        ["--config", QUICKSTART, "--config.init_from=", "--config.teacher=none"]
    )
    assert config.init_from is config.teacher is None
    with config.unlocked():
        config.init_from = ""  # as a config file may have it
    assert check_config(config).init_from is None


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

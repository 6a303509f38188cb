"""Config files are loaded; each error is one sentence without traceback."""

from pathlib import Path

import pytest

from mst_jax.training.startup.config_file import load_config_file

CONFIGS = Path(__file__).parents[3] / "configs"


def test_a_config_takes_its_argument():
    assert load_config_file(f"{CONFIGS}/sbd.py:size=huge").model.size == "huge"
    assert load_config_file(f"{CONFIGS}/sbd.py").model.size == "base"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sdb.py", r"there is no config file .*sdb.py; choose one of .*: .*sbd.py\)$"),
        (
            "sbd",
            r"there is no config file .*sbd; choose one of .*\(closest: .*sbd.py\)",
        ),
        ("defaults.py", r"defaults.py has no function get_config; choose one of .*sbd"),
        ("quickstart.py:size=big", "quickstart.py takes no argument, got 'size=big'"),
        ("sbd.py:model=mts", r"sbd.py: no model 'mts'; choose .*\(closest: mst\)$"),
        ("sbd.py:siez=base", r"argument is 'siez=base', .*model=.*\(closest: size\)$"),
        ("objects.py:size=bas", r"no model size 'bas'; choose .*\(closest: base\)$"),
    ],
)
def test_a_wrong_file_or_argument_is_one_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        load_config_file(f"{CONFIGS}/{text}")
    assert len(str(error.value).splitlines()) == 1


def test_a_folder_without_configs_has_no_choice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"no config file x\.py; expected a file such as"
    ):
        load_config_file("x.py")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("def get_config(:", r"mine.py, line 1: SyntaxError: "),
        (
            "import nothing_here",
            r"mine.py, line 1: ModuleNotFoundError: .*nothing_here",
        ),
        ("def get_config():\n    return {}['a']", r"mine.py, line 2: KeyError: 'a'"),
        ("def get_config():\n    pass", "get_config of .*mine.py returns NoneType"),
    ],
)
def test_code_that_fails_is_one_sentence_with_the_line(tmp_path, code, sentence):
    path = tmp_path / "mine.py"
    path.write_text(code)
    with pytest.raises(ValueError, match=sentence) as error:
        load_config_file(str(path))
    assert len(str(error.value).splitlines()) == 1

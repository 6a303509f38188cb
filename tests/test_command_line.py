"""Flags with hyphens and with underscores are the same."""

import pytest

from mst_jax.command_line import CommandParser, with_hyphens


@pytest.mark.parametrize("flag", ["--data-dir", "--data_dir"])
@pytest.mark.parametrize("joined", [True, False])
def test_underscores_and_hyphens_name_the_same_flag(flag, joined):
    parser = CommandParser()
    parser.add_argument("--data-dir")
    words = [f"{flag}=my_data"] if joined else [flag, "my_data"]
    assert parser.parse_args(words).data_dir == "my_data"


@pytest.mark.parametrize(
    "word", ["my_file.png", "--config.data.data_dir=a_b", "-1_0", "a--b_c"]
)
def test_words_that_are_no_flags_stay_unchanged(word):
    assert with_hyphens(word) == word


def test_an_unknown_flag_is_refused_with_the_closest_one(capsys):
    parser = CommandParser()
    parser.add_argument("--data-dir")
    parser.add_argument("--out")
    for words in (["--date_dir", "x"], ["--date-dir=x"]):
        with pytest.raises(SystemExit) as exit_:
            parser.parse_args(words)
        assert exit_.value.code == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert message.endswith(
            "unknown argument --date-dir, expected --help, --data-dir, --out "
            "(closest: --data-dir)"
        )

"""Wrong input ends every command with the line `error: ...` and exit code 2."""

import pytest

from mst_jax import __main__ as dispatcher

MISSING_INPUT = {
    "train": ["--config", "gone.py", "--compilation-cache", "off"],
    "evaluate": [
        *("--checkpoint", "gone", "--dataset", "shapes", "--data-dir", "data"),
        *("--out", "noc.json", "--compilation-cache", "off"),
    ],
    "predict": [
        *("gone.png", "--positive", "1,1", "--out", "mask.png"),
        *("--compilation-cache", "off"),
    ],
    "prepare": ["gone", "--data-dir", "data"],
    "convert": ["gone.pth", "new"],
    "export": ["gone", "new.onnx"],
    "serve": ["--folder", "gone"],
}


def error_lines(capsys, *words):
    """Run a command that must fail, and return the lines that it prints."""
    with pytest.raises(SystemExit) as raised:
        dispatcher.main(list(words))
    assert raised.value.code == 2
    printed = capsys.readouterr()
    assert not printed.out
    return printed.err.splitlines()


@pytest.mark.parametrize("command", dispatcher.COMMANDS)
def test_missing_input_is_one_error_line(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (line,) = error_lines(capsys, command, *MISSING_INPUT[command])
    assert line.startswith("error: ") and "gone" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", dispatcher.COMMANDS)
def test_wrong_flags_are_the_usage_and_one_error_line(command, capsys):
    # Commands with required flags or arguments report those first.
    lines = error_lines(capsys, command, "--no-such-flag")
    assert lines[0].startswith(f"usage: python -m mst_jax.{command} ")
    assert [line for line in lines if "error" in line] == lines[-1:]
    assert lines[-1].startswith("error: ")


def test_an_unknown_command_is_one_error_line(capsys):
    (line,) = error_lines(capsys, "tran")
    assert line.startswith("error: unknown command 'tran'; expected one of train")

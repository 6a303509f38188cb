"""The dispatcher `mst-jax COMMAND ...`."""

import subprocess
import sys
from pathlib import Path

import pytest

import mst_jax
from mst_jax import __main__ as dispatcher
from mst_jax import predict

LIBRARY = Path(mst_jax.__file__).parent


def test_every_module_with_a_main_is_a_command():
    modules = {
        path.stem
        for path in LIBRARY.glob("*.py")
        if 'if __name__ == "__main__":' in path.read_text()
    }
    assert set(dispatcher.COMMANDS) == modules - {"__main__"}


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]], ids=str)
def test_help_lists_every_command(words, capsys):
    dispatcher.main(words)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: mst-jax COMMAND ..."
    for name, description in dispatcher.COMMANDS.items():
        assert any(line.split() == [name, *description.split()] for line in lines)


def test_version_is_that_of_the_package(capsys):
    dispatcher.main(["--version"])
    assert capsys.readouterr().out == f"mst_jax {mst_jax.__version__}\n"


def test_command_receives_the_words_after_its_name(monkeypatch):
    received = []
    monkeypatch.setattr(predict, "main", received.append)
    dispatcher.main(["predict", "cat.jpg", "--help", "--version"])
    assert received == [["cat.jpg", "--help", "--version"]]


@pytest.mark.parametrize("word", ["tran", "--train", "mst_jax.train", "__main__"])
def test_unknown_command_is_one_sentence(word, capsys):
    with pytest.raises(SystemExit) as raised:
        dispatcher.main([word, "--config", "c.py"])
    assert raised.value.code == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1
    assert f"unknown command {word!r}; expected one of train, evaluate" in output.err


def test_module_is_a_command_and_help_imports_no_other():
    code = (
        "import runpy, sys; sys.argv[1:] = ['--help']; "
        "runpy.run_module('mst_jax', run_name='__main__'); "
        "print([name for name in sys.modules if name.startswith('mst_jax.')], "
        "'jax' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: mst-jax COMMAND")
    *_, last_line = done.stdout.splitlines()
    assert last_line in ("[] False", "['mst_jax.__main__'] False")


def test_exit_code_is_that_of_the_command():
    words = [sys.executable, "-m", "mst_jax", "prepare", "--no-such-flag"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "usage: " in done.stderr

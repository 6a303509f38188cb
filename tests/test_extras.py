"""Without an extra, its modules report the install line; all others work."""

import re
import subprocess
import sys

import pytest

from mst_jax import __main__ as dispatcher
from mst_jax.extras import PURPOSE_OF_EXTRA, MissingExtraError, needs_extra
from tests.helpers.hidden_modules import ROOT, environment_with, requirements_of

LIBRARY = ROOT / "mst_jax"
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in LIBRARY.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)
# One process imports all of them; a module that cannot be imported is printed.
IMPORT_ALL = f"""
import importlib
for name in {MODULES}:
    try: importlib.import_module(name)
    except ImportError as error: print(f"{{name}}: {{error}}")
"""
# A command and what it needs; the others need no extra.
EXTRA_OF_COMMAND = {
    "train": "train",
    "evaluate": "data",
    "prepare": "data",
    "serve": "serve",
}


def run_python(*words, env):
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=env, cwd=ROOT
    )


def test_missing_module_is_one_sentence():
    with pytest.raises(MissingExtraError) as raised, needs_extra("serve"):
        import no_such_module.part  # noqa: F401  # pyright: ignore
    assert raised.value.name == "no_such_module"
    assert str(raised.value) == (
        "no_such_module is not installed, but is required for the annotation server: "
        "pip install 'mst_jax[serve]'"
    )


def test_other_errors_pass_unchanged():
    with (
        pytest.raises(ImportError, match="no_such_name") as raised,
        needs_extra("data"),
    ):
        from math import no_such_name  # noqa: F401  # pyright: ignore
    assert not isinstance(raised.value, MissingExtraError)


def test_every_extra_of_a_message_exists():
    for extra in PURPOSE_OF_EXTRA:
        assert len(requirements_of(extra)) > len(requirements_of())


@pytest.mark.parametrize(
    "present",
    [
        (),
        *(pytest.param((e,), id=e, marks=pytest.mark.slow) for e in PURPOSE_OF_EXTRA),
    ],
)
def test_modules_need_no_more_than_their_extra(present, tmp_path):
    env = environment_with(tmp_path, *present)
    done = run_python("-c", IMPORT_ALL, env=env)
    assert done.returncode == 0, done.stderr
    failures = done.stdout.splitlines()
    named = [
        re.fullmatch(r".*pip install 'mst_jax\[(\w+)\]'", line) for line in failures
    ]
    assert all(named), failures
    missing = {match[1] for match in named if match}
    # The train extra includes the data extra.
    included = {"data", "train"} if present == ("train",) else set(present)
    assert missing == set(PURPOSE_OF_EXTRA) - included


@pytest.mark.parametrize("command", dispatcher.COMMANDS)
def test_commands_name_the_extra_that_they_miss(command, tmp_path):
    env = environment_with(tmp_path)
    done = run_python("-m", f"mst_jax.{command}", "--help", env=env)
    if command not in EXTRA_OF_COMMAND:
        assert done.returncode == 0 and "usage" in done.stdout
        return
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert f"pip install 'mst_jax[{EXTRA_OF_COMMAND[command]}]'" in done.stderr


def test_dispatcher_names_the_extra(monkeypatch, capsys):
    def import_module(name):
        with needs_extra("train"):
            raise ModuleNotFoundError("No module named 'grain'", name="grain")

    monkeypatch.setattr(dispatcher.importlib, "import_module", import_module)
    with pytest.raises(SystemExit) as raised:
        dispatcher.main(["train"])
    assert raised.value.code == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: grain is not installed") and not output.out

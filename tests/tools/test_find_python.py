"""The Makefile takes the newest supported Python and says which one."""

import shutil
import subprocess

import pytest

from tests.helpers.notebooks import ROOT

FIND = ROOT / "tools" / "find_python.sh"
MAKE = ROOT / "tools" / "make_environment.sh"


def write_python(path, version, *, works=True):
    """Write a program that answers as Python of this version does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # `find_python.sh` asks with an expression that ends in the version it looks for.
    major, minor = version.split(".")
    path.write_text(
        "#!/bin/sh\n"
        f"{'' if works else 'exit 127'}\n"
        'case "$*" in\n'
        f'  *"!= ({major}, {minor})"*) exit 0 ;;\n'
        f"  *print*) echo {version} ;;\n"
        '  *"-m venv"*) echo "$0 $*" ;;\n'
        "  *) exit 1 ;;\n"
        "esac\n"
    )
    path.chmod(0o755)
    return path


def run(script, *words, folder):
    env = {"PATH": f"{folder}/bin:/usr/bin:/bin", "PYENV_ROOT": f"{folder}/pyenv"}
    return subprocess.run(
        ["sh", str(script), *map(str, words)], env=env, capture_output=True, text=True
    )


def hide_system_pythons(folder):
    """Put programs that fail before those of the system."""
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        write_python(folder / "bin" / name, "3.9")


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        ({"bin/python3.12": "3.12", "bin/python3.11": "3.11"}, "bin/python3.12"),
        ({"bin/python3": "3.13", "bin/python3.12": "3.12"}, "bin/python3"),
        (
            {"bin/python3.12": "3.12", "pyenv/versions/3.13.0/bin/python": "3.13"},
            "pyenv/versions/3.13.0/bin/python",
        ),
        (
            {"bin/python3": "3.11", "pyenv/versions/3.10.1/bin/python": "3.10"},
            "bin/python3",
        ),
        ({"bin/python3": "3.14"}, None),
    ],
    ids=["newest", "plain name", "pyenv", "too old in pyenv", "too new"],
)
def test_newest_supported_python_is_found(tmp_path, programs, expected):
    hide_system_pythons(tmp_path)
    for name, version in programs.items():
        write_python(tmp_path / name, version)
    done = run(FIND, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (str(tmp_path / expected) if expected else "")


def test_shim_that_fails_is_skipped(tmp_path):
    hide_system_pythons(tmp_path)
    write_python(tmp_path / "bin/python3.13", "3.13", works=False)
    inside = write_python(tmp_path / "pyenv/versions/3.13.2/bin/python", "3.13")
    assert run(FIND, folder=tmp_path).stdout.strip() == str(inside)


def test_other_python_replaces_the_environment(tmp_path):
    python = write_python(tmp_path / "bin" / "python3", "3.13")
    folder = tmp_path / "venv"
    done = run(MAKE, folder, python, folder=tmp_path)
    assert done.stdout.splitlines() == [
        f"Python 3.13 ({python}) in {folder}",
        f"{python} -m venv {folder}",
    ]
    write_python(folder / "bin" / "python", "3.12")
    done = run(MAKE, folder, python, folder=tmp_path)
    assert done.stdout.splitlines()[1] == f"{python} -m venv --clear {folder}"
    write_python(folder / "bin" / "python", "3.13")
    done = run(MAKE, folder, python, folder=tmp_path)
    assert done.stdout.splitlines()[1] == f"{python} -m venv {folder}"


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("3.10", "Python 3.10 found, 3.11 to 3.13 needed"),
        (None, "No Python 3.11, 3.12 or"),
    ],
)
def test_wrong_or_missing_python_is_one_sentence(tmp_path, version, sentence):
    python = write_python(tmp_path / "bin/python3", version) if version else ""
    done = run(MAKE, tmp_path / "venv", python, folder=tmp_path)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith(sentence) and done.stderr.count("\n") == 1


def test_given_python_replaces_an_environment_that_is_up_to_date(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    write_python(tmp_path / ".venv/bin/python", "3.12")
    (tmp_path / ".venv/installed").touch()
    given = write_python(tmp_path / "other/python", "3.12")

    def dry_run():
        words = ["make", "--dry-run", f"PYTHON={given}", "lint"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return f"sh tools/make_environment.sh .venv {given}" in done.stdout.splitlines()

    assert not dry_run()
    write_python(given, "3.13")
    assert dry_run()

import importlib.metadata
import re

import pytest

from tests.helpers.fake_commands import LAUNCH

ROOT = LAUNCH.parent
LINES = re.sub(r"\\\n\s*", "", (LAUNCH / "Dockerfile").read_text()).splitlines()
WORDS = [line.split() for line in LINES if line and line[0] != "#"]


def test_copied_files_exist_and_keep_their_paths():
    copies = [words[1:] for words in WORDS if words[0] == "COPY"]
    sources = [source for *sources, _ in copies for source in sources]
    assert all((ROOT / source).exists() for source in sources)
    assert {
        "requirements.txt",
        "pyproject.toml",
        "mst_jax",
        "configs",
        "launch",
    } <= set(sources)
    for *names, destination in copies:
        is_folder = (ROOT / names[0]).is_dir()
        assert destination == names[0] if is_folder else destination in (".", "./")


def test_files_are_copied_before_they_are_installed():
    copied = {}
    for line_index, words in enumerate(WORDS):
        if words[0] == "COPY":
            copied |= dict.fromkeys(words[1:-1], line_index)
    first_install, second_install = (
        i for i, words in enumerate(WORDS) if words[:2] == ["RUN", "pip"]
    )
    assert copied["requirements.txt"] < first_install
    assert (
        max(copied[name] for name in ("pyproject.toml", "README.md", "mst_jax"))
        < second_install
    )


def test_pinned_jax_has_the_extras():
    first_install = next(words for words in WORDS if words[:2] == ["RUN", "pip"])
    assert first_install[-3:] == ["-r", "requirements.txt", '"jax[$EXTRA]"']
    assert re.search(r"^jax==\d", (ROOT / "requirements.txt").read_text(), re.M)
    extras = importlib.metadata.metadata("jax").get_all("Provides-Extra")
    (default,) = [words[1] for words in WORDS if words[0] == "ARG"]
    assert default == "EXTRA=cuda12"
    assert {"cuda12", "cuda13", "tpu"} <= set(extras)


def test_python_version_is_supported():
    (base,) = [words[1] for words in WORDS if words[0] == "FROM"]
    version = tuple(map(int, re.match(r"python:(\d+)\.(\d+)-", base).groups()))
    lowest, below = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"',
        (ROOT / "pyproject.toml").read_text(),
    ).groups()
    assert (3, int(lowest)) <= version < (3, int(below))


@pytest.mark.parametrize("word", ["launch/local.sh", "configs/sbd.py"])
def test_named_files_exist(word):
    assert (ROOT / word).exists() and any(word in line for line in LINES)

"""Compiled programs are stored where the flag, the environment or the default says."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from mst_jax import compilation_cache, evaluate, predict, serve, train
from mst_jax.compilation_cache import enable_compilation_cache, remove_oldest_programs

PROGRAM = """
import sys
import jax
from mst_jax.compilation_cache import enable_compilation_cache
setting = None if sys.argv[1] == "default" else sys.argv[1]
folder = enable_compilation_cache(setting)
jax.jit(lambda x: 2 * x)(3.0)
print(folder, jax.config.jax_persistent_cache_min_compile_time_secs)
"""


def run_program(setting, home, **variables):
    """Compile a small program in a new process; return what it prints."""
    environment = {
        name: value for name, value in os.environ.items() if "CACHE" not in name
    }
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(setting)],
        env=environment | {"XDG_CACHE_HOME": str(home), **variables},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


def stored_programs(folder):
    return sorted(path.name for path in folder.glob("*-cache"))


def test_the_default_folder_stores_the_smallest_program(tmp_path):
    folder = tmp_path / "mst_jax" / "programs"
    assert run_program("default", tmp_path) == [str(folder), "0.0"]
    assert stored_programs(folder)


def test_the_folder_of_jax_takes_precedence_over_the_default(tmp_path):
    variables = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "mine")}
    variables["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "5"
    words = run_program("default", tmp_path, **variables)
    assert words == [str(tmp_path / "mine"), "5.0"]
    assert not (tmp_path / "mst_jax").exists()
    assert not stored_programs(tmp_path / "mine")  # it compiles in less than 5 s


def test_off_stores_nothing(tmp_path):
    variables = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "mine")}
    assert run_program("off", tmp_path, **variables)[0] == "None"
    assert not list(tmp_path.rglob("*-cache"))


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--compilation-cache is .*or off"):
        enable_compilation_cache(str(tmp_path / "file" / "cache"))
    # The default folder is nobody's choice: the command runs without it.
    assert run_program("default", tmp_path / "file")[0] == "None"


def test_least_recently_used_programs_are_removed(tmp_path):
    # 100 bytes each; "read" was written first and read last.
    for name, read_at, written_at in (
        ("read", 50, 10),
        ("old", 20, 20),
        ("older", 15, 15),
        ("new", 40, 40),
    ):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (read_at, written_at))
    (tmp_path / "other file").write_bytes(bytes(1000))
    remove_oldest_programs(tmp_path, max_bytes=400)
    assert len(stored_programs(tmp_path)) == 4
    remove_oldest_programs(tmp_path, max_bytes=299)
    assert stored_programs(tmp_path) == ["new-cache", "read-cache"]
    assert (tmp_path / "other file").exists()


def test_only_the_default_folder_is_limited(tmp_path, monkeypatch):
    default_folder, other_folder = tmp_path / "default", tmp_path / "other"
    for folder in (default_folder, other_folder):
        folder.mkdir()
        (folder / "program-cache").write_bytes(bytes(100))
    monkeypatch.setattr(compilation_cache, "PROGRAMS_DIR", default_folder)
    monkeypatch.setattr(compilation_cache, "MAX_PROGRAMS_BYTES", 50)
    before = jax.config.values["jax_compilation_cache_dir"]
    try:
        for folder in (default_folder, other_folder):
            enable_compilation_cache(str(folder))
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    assert not stored_programs(default_folder)
    assert stored_programs(other_folder) == ["program-cache"]


def test_every_command_that_compiles_has_the_flag():
    for command in (train, evaluate, predict, serve):
        parser: argparse.ArgumentParser = command.make_parser()
        assert "--compilation-cache DIR|off" in parser.format_help()


def test_the_flag_names_the_default_folder():
    parser = argparse.ArgumentParser()
    compilation_cache.add_cache_flag(parser)
    assert isinstance(compilation_cache.PROGRAMS_DIR, Path)
    help_text = "".join(parser.format_help().split())
    assert str(compilation_cache.PROGRAMS_DIR) in help_text

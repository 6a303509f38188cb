"""Load a config file: Python code with a function `get_config`."""

import contextlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from mst_jax.name_choices import closest_name


def load_config_file(text: str) -> ConfigDict:
    """Load a config.

    Args:
        text: FILE or FILE:ARGUMENT, such as "configs/sbd.py:model=mst".

    Returns:
        The config that `get_config()` or `get_config(ARGUMENT)` of the file returns.

    Raises:
        ValueError: There is no such file, it is no config, it takes no argument or
            another one, or its code fails; the message names the line.
    """
    file_name, colon, argument = text.partition(":")
    path = Path(file_name)
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(f"there is no config file {file_name}; {_list_configs(path)}")
    with _importable_neighbors(path):
        with _one_sentence_errors(path):
            module = _execute_file(path)
        get_config = getattr(module, "get_config", None)
        if get_config is None:
            raise ValueError(
                f"{path} has no function get_config; {_list_configs(path)}"
            )
        if colon and not inspect.signature(get_config).parameters:
            raise ValueError(f"{path} takes no argument, got {argument!r}")
        with _one_sentence_errors(path):
            config = get_config(argument) if colon else get_config()
    if not isinstance(config, ConfigDict):
        raise ValueError(
            f"get_config of {path} returns {type(config).__name__}, expected ConfigDict"
        )
    return config


def _execute_file(path: Path) -> ModuleType:
    """Return the module of a file; it is not entered in `sys.modules`."""
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    assert spec and spec.loader  # the file name ends in .py
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _one_sentence_errors(path: Path) -> Iterator[None]:
    """Turn what a config's code raises into one sentence with the line."""
    try:
        yield
    except ValueError as error:
        # Raised for the user: a wrong argument.
        raise ValueError(f"{path}: {error}") from None
    except (Exception, SystemExit) as error:
        resolved = str(path.resolve())
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if str(Path(frame.filename).resolve()) == resolved
        ]
        if isinstance(error, SyntaxError):
            lines = [error.lineno]
        where = f", line {lines[-1]}" if lines else ""
        first_line = next(iter(str(error).splitlines()), "")
        raise ValueError(
            f"{path}{where}: {type(error).__name__}: {first_line}"
        ) from None


def _list_configs(path: Path) -> str:
    """Return the end of an error message: the config files beside a wrong path.

    Args:
        path: Path that is not a config.
    """
    folders = [path.parent, path.parent / "configs", Path("configs")]
    # Configs only; the folder also has files that they import.
    config_files = {
        str(file): None
        for folder in folders
        for file in sorted(folder.glob("*.py"))
        if "def get_config(" in file.read_text(errors="ignore")
    }
    if not config_files:
        return "expected a file such as configs/sbd.py of the repository"
    by_stem = {Path(file).stem: file for file in config_files}
    closest = closest_name(path.stem, by_stem)
    hint = f" (closest: {by_stem[closest]})" if closest else ""
    return f"choose one of {', '.join(config_files)}{hint}"


@contextlib.contextmanager
def _importable_neighbors(path: Path) -> Iterator[None]:
    """Let a config file import the files beside it as `configs.NAME`.

    Running a file puts its folder on the path of Python, loading a config does not. So
    the parent of the config's folder is on the path while the config is loaded: the
    current folder need not be the repository.

    Args:
        path: Path of the config file.
    """
    # First on the path: another folder `configs` must not hide these files.
    old_path = list(sys.path)
    sys.path.insert(0, str(path.resolve().parent.parent))
    try:
        yield
    finally:
        sys.path[:] = old_path

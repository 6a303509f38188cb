"""Blocks of a config become keyword arguments; a wrong key is one clear sentence."""

import inspect
import json
import numbers
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")

LARGEST = sys.float_info.max


def call(
    function: Callable[..., T], block: str, *args: object, **settings: object
) -> T:
    """Calls `function(*args, **settings)`.

    Args:
        function: takes the block's keys as keyword arguments.
        block: what the user calls the block, such as "config.optimizer".
        *args: what does not come from the user.
        **settings: the block.

    Raises:
        ValueError: a key that the function does not take, or one that is missing.
    """
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **settings)
    except TypeError as error:
        kinds = (
            inspect.Parameter.KEYWORD_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        )
        known = [p.name for p in signature.parameters.values() if p.kind in kinds]
        raise ValueError(
            f"{block}: {error}; it takes {', '.join(known[len(args) :])}"
        ) from None
    return function(*args, **settings)


def check_keys(block: str, given: Mapping[str, object], known: Mapping) -> None:
    """Raises ValueError unless `given` has exactly the keys of `known`."""
    for words, keys in (
        ("unknown", sorted(set(given) - set(known))),
        ("missing", sorted(set(known) - set(given))),
    ):
        if keys:
            raise ValueError(
                f"{block} has {words} keys {', '.join(keys)}; it takes "
                f"{', '.join(known)}"
            )


def defaults_of(function: Callable[..., object]) -> dict[str, object]:
    """Returns the keyword arguments with defaults of a function, and these."""
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
        and parameter.default is not parameter.empty
    }


def check_kinds(
    block: str, given: Mapping[str, object], known: Mapping[str, object]
) -> None:
    """Raises ValueError unless each value is of the kind of its default.

    Args:
        block: what the user calls the block, such as "config.losses.dice".
        given: the block.
        known: its keys and their defaults; None stands for a number or None.
    """
    for key, value in given.items():
        default = known[key]
        if default is None or is_number(default, least=-LARGEST, most=LARGEST):
            fits = is_number(value, least=-LARGEST, most=LARGEST) or value is default
        else:
            fits = isinstance(value, type(default))
        if not fits:
            raise ValueError(
                f"{block}.{key} is {value!r}, expected a value like {default!r}"
            )


def check_block(
    block: str,
    given: Mapping[str, object],
    function: Callable[..., object],
    check: Callable[..., None],
) -> None:
    """Checks a block whose keys are the keyword arguments with defaults of a function.

    Args:
        block: what the user calls the block, such as "config.data.changes".
        given: the block.
        function: is called with the block later.
        check: takes all these arguments; raises ValueError for a wrong value.

    Raises:
        ValueError: an unknown key or a wrong value.
    """
    defaults = defaults_of(function)
    check_keys(block, defaults | dict(given), defaults)
    try:
        check(**(defaults | dict(given)))
    except ValueError as error:
        raise ValueError(f"{block}: {error}") from None


def is_number(value: object, *, least: float, most: float) -> bool:
    """Is the value a real number from `least` to `most`?"""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and least <= value <= most


def as_json(settings: Mapping[str, object]) -> dict:
    """Returns the settings as they look after a trip through JSON: lists, no tuples."""
    return json.loads(json.dumps(settings))


def read_argument(text: str, **defaults: str) -> dict[str, str]:
    """Reads what follows the colon of `--config FILE:model=mst,size=tiny`.

    Args:
        text: pairs KEY=VALUE, separated by commas; may be empty.
        **defaults: the keys that the file knows, and their values if nothing is said.

    Raises:
        ValueError: something else than a pair, or an unknown key.
    """
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    for key, _, value in pairs:
        if key not in defaults or not value:
            known = ", ".join(f"{key}={value}" for key, value in defaults.items())
            raise ValueError(
                f"the config's argument is {text!r}, expected pairs like {known}"
            )
    return defaults | {key: value for key, _, value in pairs}

"""Blocks of a config become keyword arguments; a wrong key is one clear sentence."""

import inspect
import json
import numbers
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


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
    defaults = {
        parameter.name: parameter.default
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
        and parameter.default is not parameter.empty
    }
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

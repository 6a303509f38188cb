"""Blocks of a config become keyword arguments; a wrong key is one clear sentence."""

import inspect
import json
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


def as_json(settings: Mapping[str, object]) -> dict:
    """Returns the settings as they look after a trip through JSON: lists, no tuples."""
    return json.loads(json.dumps(settings))

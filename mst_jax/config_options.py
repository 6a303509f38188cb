"""Turn the blocks of a config into options and arguments, with clear errors."""

import dataclasses
import inspect
import json
import math
import numbers
import sys
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from mst_jax.name_choices import closest_names

T = TypeVar("T")
OptionsT = TypeVar("OptionsT")

LARGEST_FLOAT = sys.float_info.max


def options_from_config(
    options_class: type[OptionsT], block: str, values: Mapping[str, Any]
) -> OptionsT:
    """Build a frozen options dataclass from a block of a config.

    Args:
        options_class: Dataclass that validates itself in `__post_init__`.
        block: Name of the block as the user writes it, such as "config.optimizer".
        values: Keys and values of the block. Lists become tuples, because JSON files
            have no tuples.

    Returns:
        The options; keys that the block lacks have the defaults of the dataclass.

    Raises:
        ValueError: An unknown or missing key, a value of the wrong type, or a value
            that `__post_init__` rejects.
    """
    init_fields = {
        field.name: field
        for field in dataclasses.fields(options_class)  # pyright: ignore[reportArgumentType]
        if field.init
    }
    # 1. Keys, then types: `__post_init__` may compare without checking types.
    required = [name for name, field in init_fields.items() if _is_required(field)]
    check_keys(block, values, init_fields, required=required)
    field_types = get_type_hints(options_class)
    arguments = {
        key: _as_field_value(value, field_types[key]) for key, value in values.items()
    }
    check_types(block, arguments, field_types)
    # 2. Ranges, and values that depend on each other.
    try:
        return options_class(**arguments)
    except ValueError as error:
        raise ValueError(f"{block}: {error}") from None


def call_with_options(
    function: Callable[..., T], block: str, *args: Any, **options: Any
) -> T:
    """Call `function(*args, **options)` with the keys of a config block as options.

    Args:
        function: Function that takes the block's keys as keyword arguments.
        block: Name of the block as the user writes it, such as "config.model".
        *args: Positional arguments that do not come from the user.
        **options: Keys and values of the block.

    Returns:
        The result of the call.

    Raises:
        ValueError: An unknown or missing key, or a value of the wrong type; errors
            inside the call pass unchanged.
    """
    # Checked before the call: a TypeError inside the function is not an error of the
    # user.
    parameters = list(inspect.signature(function).parameters.values())[len(args) :]
    known = {
        parameter.name: parameter.default is parameter.empty
        for parameter in parameters
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    # A function with **options checks the other keys itself.
    takes_any_key = any(p.kind is p.VAR_KEYWORD for p in parameters)
    required = [name for name, is_required in known.items() if is_required]
    own_options = {
        name: value
        for name, value in options.items()
        if name in known or not takes_any_key
    }
    check_keys(block, own_options, known, required=required)
    check_types(block, own_options, get_type_hints(function))
    return function(*args, **options)


def check_keys(
    block: str,
    values: Collection[str],
    known: Collection[str],
    *,
    required: Collection[str] | None = None,
) -> None:
    """Check that a block has known keys only and lacks none.

    Args:
        block: Name of the block as the user writes it.
        values: Keys of the block, or the block itself.
        known: Keys that the block may have, in the order in which an error lists them.
        required: Keys that the block must have; None: all known keys.

    Raises:
        ValueError: Unknown or missing keys.
    """
    required = known if required is None else required
    for problem_name, keys in (
        ("unknown", sorted(set(values) - set(known))),
        ("missing", sorted(set(required) - set(values))),
    ):
        if keys:
            # The closest name shows a typo; a missing key has none.
            closest = closest_names(keys if problem_name == "unknown" else (), known)
            raise ValueError(
                f"{block} has {problem_name} keys {', '.join(keys)}; it takes "
                f"{', '.join(known)}{closest}"
            )


def check_types(
    block: str, values: Mapping[str, Any], annotations: Mapping[str, Any]
) -> None:
    """Check that each value of a block fits the annotation of its key.

    Args:
        block: Name of the block as the user writes it.
        values: Keys and values of the block.
        annotations: Key -> annotation; keys without one may have any value.

    Raises:
        ValueError: A value of the wrong type.
    """
    for key, value in values.items():
        if key in annotations and not _has_type(
            _lists_to_tuples(value), annotations[key]
        ):
            raise ValueError(
                f"{block}.{key} is {value!r}, expected {type_name(annotations[key])}"
            )


def keyword_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return keyword-only arguments with defaults: name -> default."""
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
        and parameter.default is not parameter.empty
    }


def check_value_types(
    block: str, values: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    """Check that each value of a block has the type of its default.

    Args:
        block: Name of the block as the user writes it, such as "config.losses.dice".
        values: Keys and values of the block.
        defaults: Known keys and their defaults; a default of None allows a number or
            None.

    Raises:
        ValueError: A value of another type, or a number that is not finite.
    """
    for key, value in values.items():
        default_value = defaults[key]
        if default_value is None or is_number_between(
            default_value, -LARGEST_FLOAT, LARGEST_FLOAT
        ):
            is_finite = is_number_between(value, -LARGEST_FLOAT, LARGEST_FLOAT)
            has_default_type = is_finite or value is default_value
        else:
            has_default_type = isinstance(value, type(default_value))
        if not has_default_type:
            raise ValueError(
                f"{block}.{key} is {value!r}, expected a value like {default_value!r}"
            )


def is_number_between(value: Any, min_value: float, max_value: float) -> bool:
    """Return whether a value is a real number from `min_value` to `max_value`."""
    # True is an int for Python; infinity and nan fail the comparison.
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return min_value <= _to_float(value) <= max_value


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config as it looks after a round trip through JSON: lists, no tuples."""
    # What is read back from config.json can be compared with this.
    return json.loads(json.dumps(values))


def parse_config_argument(text: str, **defaults: str) -> dict[str, str]:
    """Parse what follows the colon of `--config FILE:model=mst,size=tiny`.

    Args:
        text: Pairs KEY=VALUE, separated by commas; may be empty.
        **defaults: Keys that the config file knows, and their default values.

    Returns:
        The defaults, updated with the pairs.

    Raises:
        ValueError: Something that is not a pair, or an unknown key.
    """
    key_value_pairs = [pair.partition("=") for pair in text.split(",") if pair]
    for key, _, value in key_value_pairs:
        if key not in defaults or not value:
            known = ", ".join(f"{key}={value}" for key, value in defaults.items())
            raise ValueError(
                f"the config's argument is {text!r}, expected pairs like {known}"
                f"{closest_names([key], defaults)}"
            )
    return defaults | {key: value for key, _, value in key_value_pairs}


def _to_float(value: Any) -> float:
    """Return a real number as a float; infinity if it is too large for a float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _is_required(field: dataclasses.Field) -> bool:
    return (
        field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    )


def _as_field_value(value: Any, field_type: Any) -> Any:
    """Return a config's value as its field has it; wrong types stay as they are."""
    is_optional_text = get_origin(field_type) in (Union, types.UnionType) and {
        str,
        type(None),
    } <= set(get_args(field_type))
    # `--config.init_from=` means that there is none.
    if value == "" and is_optional_text:
        return None
    # A flag or a config file may have 1 for 1.0.
    if field_type is float and _has_type(value, float):
        return _to_float(value)
    return _lists_to_tuples(value)


def _lists_to_tuples(value: Any) -> Any:
    """Replace lists by tuples, also inside lists; leave other values unchanged."""
    if isinstance(value, list | tuple):
        return tuple(_lists_to_tuples(list_item) for list_item in value)
    return value


def _has_type(value: Any, field_type: Any) -> bool:
    """Return whether a config value fits the annotation of its field.

    Only the outer type is checked; `__post_init__` checks the elements of tuples. Any
    and other annotations that are not classes accept every value.
    """
    if get_origin(field_type) in (Union, types.UnionType):
        return any(
            _has_type(value, union_member) for union_member in get_args(field_type)
        )
    if field_type is type(None):
        return value is None
    if field_type in (int, float):
        number_type = numbers.Integral if field_type is int else numbers.Real
        # True is an int for Python, but not a number for a user.
        return isinstance(value, number_type) and not isinstance(value, bool)
    # tuple[float, float] -> tuple; an annotation without brackets has no origin.
    outer_type = get_origin(field_type) or field_type
    if outer_type is Sequence:
        return isinstance(value, tuple)
    # Any is a class in Python 3.11, but takes no `isinstance`.
    if outer_type is Any or not isinstance(outer_type, type):
        return True
    return isinstance(value, outer_type)


def type_name(field_type: Any) -> str:
    """Return an annotation as an error message shows it, such as `int or None`."""
    if get_origin(field_type) in (Union, types.UnionType):
        return " or ".join(
            type_name(union_member) for union_member in get_args(field_type)
        )
    if field_type is type(None):
        return "None"
    return getattr(field_type, "__name__", str(field_type))

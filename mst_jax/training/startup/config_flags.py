"""Change a config by flags: `--config.KEY=VALUE` or `--config.KEY VALUE`."""

import ast
import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Union, get_args, get_origin

from ml_collections import ConfigDict

from mst_jax.config_options import type_name
from mst_jax.name_choices import closest_name, closest_names
from mst_jax.training.startup.config_schema import ConfigSchema, list_keys

FLAG_PREFIX = "--config."

BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False} | {
    "no": False
}
NONE_WORDS = ("", "none", "null")


class ConfigChange(NamedTuple):
    """A flag that changes a config.

    Attributes:
        key: Name of the key without "config.", such as "data.split".
        text: Text of the value; None if the flag has none.
    """

    key: str
    text: str | None


def split_flags(words: Sequence[str]) -> tuple[list[ConfigChange], list[str]]:
    """Split the words of a command line into changes of the config and other words.

    Args:
        words: Words of the command line.
    """
    changes, other_words = [], []
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        if not word.startswith(FLAG_PREFIX):
            other_words.append(word)
            continue
        key, equals, text = word.removeprefix(FLAG_PREFIX).partition("=")
        if equals:
            changes.append(ConfigChange(key, text))
        elif remaining and not remaining[0].startswith("--"):
            changes.append(ConfigChange(key, remaining.pop(0)))
        else:
            changes.append(ConfigChange(key, None))
    return changes, other_words


def apply_change(
    config: ConfigDict, change: ConfigChange, schema: ConfigSchema
) -> None:
    """Set a key of a config, whether the config has it or not.

    Args:
        config: Config of a run; it is changed in place.
        change: Key and text of the value.
        schema: Keys that the config may have.

    Raises:
        ValueError: An unknown key, or a value of another type.
    """
    annotation = find_annotation(config, change.key, schema)
    value = parse_value(f"config.{change.key}", change.text, annotation)
    *parents, name = change.key.split(".")
    # Types are checked above: a float may replace a whole number of the file.
    with config.unlocked(), config.ignore_type():
        block: Any = config
        for parent in parents:
            child = block.get(parent)
            if not isinstance(child, ConfigDict):
                # A block that is absent, or a loss of which only the weight is given.
                block[parent] = {} if child is None else {"weight": child}
            block = block[parent]
        block[name] = ConfigDict(value) if isinstance(value, dict) else value


def find_annotation(config: Any, key: str, schema: Any) -> Any:
    """Return the annotation of a key, or the schema of a block.

    Args:
        config: Config of a run; blocks without a schema have the keys that it has.
        key: Name such as "data.split".
        schema: Keys that the config may have.

    Raises:
        ValueError: An unknown key; the message lists the keys of the block.
    """
    entry, value, block_name = schema, config, "config"
    for name in key.split("."):
        value = value.get(name) if isinstance(value, ConfigDict) else None
        if isinstance(entry, Mapping):
            if name not in entry:
                closest = closest_names([name], entry) or _closest_flag(name, schema)
                raise ValueError(
                    f"{block_name} has no key {name!r}; it takes {', '.join(entry)}"
                    f"{closest}"
                )
            entry = entry[name]
        # The reader of this block checks its keys.
        elif _origin(entry) is Mapping or entry is Any:
            is_block = isinstance(value, ConfigDict)
            entry = Mapping if is_block else Any if value is None else type(value)
        else:
            raise ValueError(f"{block_name} is a value without keys, got config.{key}")
        block_name += f".{name}"
    return entry


def unknown_flags_sentence(
    words: Sequence[str], schema: ConfigSchema, command_flags: Sequence[str]
) -> str:
    """Return the error message of words that are not flags.

    Args:
        words: Words of the command line that nobody has read.
        schema: Keys that the config may have.
        command_flags: Flags of the command, such as "--workdir".
    """
    word = next((word for word in words if word.startswith("-")), words[0])
    name = word.lstrip("-").partition("=")[0].removeprefix("config.")
    closest = _closest_flag(name, schema, command_flags)
    return (
        f"unknown argument {word}; expected {', '.join(command_flags)} or changes such "
        f"as --config.steps=10{closest}"
    )


def _closest_flag(
    name: str, schema: ConfigSchema, command_flags: Sequence[str] = ()
) -> str:
    """Return the flags, and keys of any block, whose last name is close to a name."""
    all_flags = [*command_flags, *(f"--{key}" for key in list_keys(schema))]
    last_names = [flag.lstrip("-").rpartition(".")[2] for flag in all_flags]
    closest = closest_name(name, last_names)
    flags = [
        flag
        for flag, last_name in zip(all_flags, last_names, strict=True)
        if last_name == closest
    ]
    return f" (closest: {', '.join(flags[:3])})" if flags else ""


def parse_value(key: str, text: str | None, annotation: Any) -> Any:
    """Parse the text of a value.

    Args:
        key: Name of the key as the user writes it, for the error message.
        text: Text of the value; None = a flag without one, which is True for a key
            that is True or False.
        annotation: Annotation of the key, or the schema of a block.

    Raises:
        ValueError: The text has another type.
    """
    if text is None and annotation is bool:
        return True
    try:
        if text is None:
            raise ValueError
        return _parse_text(text, annotation)
    except ValueError:
        found = "has no value" if text is None else f"is {text!r}"
        raise ValueError(f"{key} {found}, expected {_describe(annotation)}") from None


def _parse_text(text: str, annotation: Any) -> Any:
    """Parse a text as a value of an annotation; ValueError if it is none."""
    if isinstance(annotation, Mapping) or _origin(annotation) is Mapping:
        return _parse_block(text, annotation)
    if _origin(annotation) in (Union, types.UnionType):
        return _parse_union(text, get_args(annotation))
    if annotation is str:
        return text
    if annotation is bool:
        if text.lower() not in BOOLEANS:
            raise ValueError
        return BOOLEANS[text.lower()]
    if annotation in (int, float):
        return _parse_number(text, annotation)
    if _origin(annotation) in (tuple, list, Sequence):
        return _parse_sequence(text)
    return _parse_literal(text)


def _parse_union(text: str, members: Sequence[Any]) -> Any:
    """Parse a text as the first member that fits; an absent value is None."""
    if type(None) in members and text.lower() in NONE_WORDS:
        return None
    for member in members:
        if member is not type(None):
            try:
                return _parse_text(text, member)
            except ValueError:
                continue
    raise ValueError


def _parse_number(text: str, number_type: type) -> int | float:
    """Parse a number; a whole number may be written as 1e3."""
    number = float(text)
    if number_type is float:
        return number
    if not number.is_integer():
        raise ValueError
    return int(text) if text.strip().lstrip("+-").isdecimal() else int(number)


def _parse_sequence(text: str) -> tuple:
    """Parse a tuple or a list; a single word or number is a tuple of one."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        # Without quotes: one pattern such as decoder/.*; several need quotes.
        if not text or any(character in text for character in ",()[]'\" "):
            raise ValueError from None
        value = text
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _parse_block(text: str, annotation: Any) -> Any:
    """Parse a block as a dict; a loss may be given by its weight alone."""
    if isinstance(annotation, Mapping) and "weight" in annotation and "{" not in text:
        return _parse_number(text, float)
    if text.lower() in NONE_WORDS:
        return None
    value = _parse_literal(text)
    if not isinstance(value, dict):
        raise ValueError
    return value


def _parse_literal(text: str) -> Any:
    """Parse any Python value; other text is a string."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _origin(annotation: Any) -> Any:
    """Return Mapping for Mapping[str, Any], tuple for tuple[int, int] and so on."""
    return get_origin(annotation) or annotation


def _describe(annotation: Any) -> str:
    """Return what a key takes, for an error message."""
    if isinstance(annotation, Mapping):
        if "weight" in annotation:
            return f"a weight, or a dict with {', '.join(annotation)}"
        return f"a dict with {', '.join(annotation)}"
    if annotation is bool:
        return "true or false"
    if _origin(annotation) in (tuple, list, Sequence):
        return "values in parentheses such as (1, 2) or ('a', 'b')"
    return type_name(annotation)

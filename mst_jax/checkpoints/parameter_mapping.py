"""The renaming machine: a published program's arrays <-> our params, by a table of names.

A rule names one array of a checkpoint, the parameters that it holds, and how its axes
become theirs. The same rule serves both directions; what a checkpoint holds twice has two
rules. Params are flat here, path -> array.
"""

import dataclasses
import fnmatch
import math
import re
from collections.abc import Iterable, Mapping, Sequence

import jax
import numpy as np
from einops import rearrange

Shape = tuple[int, ...]
Flat = Mapping[str, jax.Array | np.ndarray]


@dataclasses.dataclass(frozen=True)
class Rule:
    """One array of a checkpoint and the parameters in it.

    Attributes:
        name: of the array in the checkpoint.
        paths: of its parameters, like "neck/out4/kernel". Several lie one after another
            along the pattern's first axis on the right.
        axes: pattern of einops, "axes of the array -> axes of the parameter".
        has_class_slot: does the array's axis 1 begin with an entry that belongs to no
            token? It is not read, and zeros on the way back.
        ends_in_xy: does the pattern's last axis hold (x, y)? Ours holds (row, column).
    """

    name: str
    paths: tuple[str, ...]
    axes: str
    has_class_slot: bool = False
    ends_in_xy: bool = False


@dataclasses.dataclass(frozen=True)
class NameTable:
    """All arrays of a model's checkpoint.

    Attributes:
        rules: those whose parameters a model does not have do not count for it.
        unread: names, or patterns with *, of arrays that the predictions of the
            published program do not use -> what is written on the way back; None:
            nothing.
    """

    rules: tuple[Rule, ...]
    unread: Mapping[str, np.ndarray | None]


@dataclasses.dataclass(frozen=True)
class Account:
    """What became of every array and of every parameter.

    Attributes:
        used: arrays that were read.
        unread: arrays that were not, as expected.
        filled: parameters with the numbers of the checkpoint.
        fresh: parameters that keep their own.
        changed: sentences about what was resized.
    """

    used: tuple[str, ...]
    unread: tuple[str, ...]
    filled: tuple[str, ...]
    fresh: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = (
            ("arrays used", self.used, ""),
            ("not used, as expected", self.unread, _such_as(self.unread)),
            ("parameters filled", self.filled, ""),
            ("started afresh", self.fresh, f": {', '.join(self._fresh_parts())}"),
        )
        lines = [f"{len(names)} {what}{some}" for what, names, some in said if names]
        return "\n".join((*lines, *self.changed))

    def _fresh_parts(self) -> list[str]:
        """The largest parts of the tree in which nothing was filled."""
        touched = {
            path.rsplit("/", depth)[0]
            for path in self.filled
            for depth in range(path.count("/") + 1)
        }
        parts = set()
        for path in self.fresh:
            steps = path.split("/")
            heads = ["/".join(steps[: n + 1]) for n in range(len(steps))]
            parts.add(next(head for head in heads if head not in touched))
        return sorted(parts)


def read_names(
    arrays: Mapping[str, np.ndarray], table: NameTable, shapes: Mapping[str, Shape]
) -> tuple[dict[str, np.ndarray], Account]:
    """Renames a checkpoint's arrays.

    Args:
        arrays: name -> array.
        table: of the model that the checkpoint holds.
        shapes: path -> shape of every parameter that it should fill.

    Returns:
        Path -> float32 array, one for each of `shapes`, and the account.

    Raises:
        ValueError: an array that is missing, that nobody expects, or of another shape; a
            parameter without a rule, or one that two arrays tell differently.
    """
    rules = _rules_for(table, shapes)
    missing = [rule.name for rule in rules if rule.name not in arrays]
    if missing:
        raise ValueError(f"it lacks {len(missing)} arrays{_such_as(missing)}")
    used = {rule.name for rule in rules}
    unread = sorted(set(arrays) - used)
    strange = [name for name in unread if not _is_expected(name, table.unread)]
    if strange:
        raise ValueError(
            f"{len(strange)} of its arrays have no place in this model"
            f"{_such_as(strange)}; it is another model"
        )
    flat: dict[str, np.ndarray] = {}
    first: dict[str, str] = {}
    for rule in rules:
        for path, value in _read_rule(rule, arrays[rule.name], shapes).items():
            name = first.setdefault(path, rule.name)
            if not np.array_equal(flat.setdefault(path, value), value, equal_nan=True):
                raise ValueError(
                    f"its arrays {name} and {rule.name} differ, expected the same "
                    "numbers twice; save it anew from the published program"
                )
    return flat, Account(tuple(sorted(used)), tuple(unread), tuple(sorted(flat)))


def write_names(flat: Flat, table: NameTable) -> dict[str, np.ndarray]:
    """Names params as the published program does: undoes `read_names`.

    Raises:
        ValueError: a parameter without a rule.
    """
    shapes = {path: np.shape(value) for path, value in flat.items()}
    arrays = {rule.name: _write_rule(rule, flat) for rule in _rules_for(table, shapes)}
    idle = {name: array for name, array in table.unread.items() if array is not None}
    return arrays | idle


def _rules_for(table: NameTable, shapes: Mapping[str, Shape]) -> list[Rule]:
    """The rules whose parameters there are; together they name every parameter."""
    rules = [rule for rule in table.rules if shapes.keys() >= set(rule.paths)]
    nameless = shapes.keys() - {path for rule in rules for path in rule.paths}
    if nameless:
        raise ValueError(
            f"the published program has no name for {len(nameless)} parameters"
            f"{_such_as(sorted(nameless))}"
        )
    return rules


def _read_rule(
    rule: Rule, array: np.ndarray, shapes: Mapping[str, Shape]
) -> dict[str, np.ndarray]:
    """The parameters that one array holds."""
    shape = shapes[rule.paths[0]]
    is_split = len(rule.paths) > 1
    right = rule.axes.split("->")[1].split()
    inner = (len(rule.paths), *shape) if is_split else shape
    sizes = dict(zip(right, inner, strict=True))
    expected = _shape_of(rule, sizes)
    if array.shape != expected:
        raise ValueError(
            f"{rule.name} is {list(array.shape)}, expected {list(expected)}"
        )
    if rule.has_class_slot:
        array = array[:, 1:]
    value = rearrange(np.asarray(array, np.float32), rule.axes, **sizes)
    if rule.ends_in_xy:
        value = value[..., ::-1]
    return dict(zip(rule.paths, value if is_split else (value,), strict=True))


def _write_rule(rule: Rule, flat: Flat) -> np.ndarray:
    """The array that holds some parameters."""
    left, right = rule.axes.split("->")
    values = [np.asarray(flat[path], np.float32) for path in rule.paths]
    value = np.stack(values) if len(values) > 1 else values[0]
    if rule.ends_in_xy:
        value = value[..., ::-1]
    array = rearrange(value, f"{right} -> {left}")
    if rule.has_class_slot:
        array = np.concatenate([np.zeros_like(array[:, :1]), array], axis=1)
    return array


def _shape_of(rule: Rule, sizes: Mapping[str, int]) -> Shape:
    """Shape of a rule's array when the axes have these sizes."""
    groups = re.findall(r"\([^)]*\)|\S+", rule.axes.split("->")[0])
    sizes = {**sizes, "1": 1}
    shape = [math.prod(sizes[axis] for axis in re.findall(r"\w+", g)) for g in groups]
    if rule.has_class_slot:
        shape[1] += 1
    return tuple(shape)


def _is_expected(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _such_as(names: Sequence[str]) -> str:
    """Says ": a, b, c and 7 more", or nothing."""
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f": {', '.join(names[:3])}{more}"

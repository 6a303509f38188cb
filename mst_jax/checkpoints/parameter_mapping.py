"""Map the arrays of a published checkpoint to Flax parameters and back.

The checkpoint is the `state_dict` of a PyTorch `.pth` file. A rule names one of its arrays,
the Flax parameters in it, and the rearrangement of its axes. The same rule serves both
directions; parameters that a checkpoint holds twice have two rules. Parameter trees are
flat here: path -> array.
"""

import dataclasses
import fnmatch
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from einops import rearrange
from flax.traverse_util import flatten_dict

Shape = tuple[int, ...]

FlatParams = Mapping[str, jax.Array | np.ndarray]
"""Path such as "neck/out4/kernel" -> parameter."""


def flatten_params(params: dict) -> dict[str, Any]:
    """Return the leaves of a parameter tree by their paths, such as "neck/out4/kernel".

    Args:
        params: Nested dict of arrays, or of their shapes.
    """
    return dict(flatten_dict(params, sep="/"))


@dataclasses.dataclass(frozen=True)
class ParameterRule:
    """One array of a checkpoint and the parameters in it.

    Attributes:
        array_name: Name of the array in the checkpoint.
        param_paths: Paths of its parameters, like "neck/out4/kernel". Several are stacked
            along the first axis on the right side of `axes`.
        axes: Pattern of einops, "axes of the array -> axes of the parameter".
        has_class_token: Whether axis 1 of the array begins with an entry for a class
            token, which is ignored on import and zero on export.
        ends_in_xy: Whether the last axis of the array's pattern is (x, y); that of the
            parameter is (row, column).
    """

    array_name: str
    param_paths: tuple[str, ...]
    axes: str
    has_class_token: bool = False
    ends_in_xy: bool = False


@dataclasses.dataclass(frozen=True)
class ParameterMapping:
    """All arrays of a model's checkpoint.

    Attributes:
        rules: Rules of all arrays with parameters. Rules whose parameters a model does
            not have are skipped for it.
        unused_arrays: Arrays that the published program does not use in its predictions.
            The keys are names or patterns with *; the values are the arrays to write on
            export, None for an array that is not written.
    """

    rules: tuple[ParameterRule, ...]
    unused_arrays: Mapping[str, np.ndarray | None]


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What became of every array of a checkpoint and of every parameter of the model.

    Attributes:
        used_arrays: Names of the arrays that were read.
        unused_arrays: Names of the arrays that were not read, as expected.
        filled_params: Paths of the parameters that got values from the checkpoint.
        reinitialized: Paths of the parameters that keep their initial values.
        changes: Sentences about what was resized or left out.
    """

    used_arrays: tuple[str, ...]
    unused_arrays: tuple[str, ...]
    filled_params: tuple[str, ...]
    reinitialized: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        subtrees = ", ".join(self._reinitialized_subtrees())
        unused_examples = _name_examples(self.unused_arrays)
        counted_names = (
            ("arrays used", self.used_arrays, ""),
            ("not used, as expected", self.unused_arrays, unused_examples),
            ("parameters filled", self.filled_params, ""),
            ("reinitialized", self.reinitialized, f": {subtrees}"),
        )
        count_lines = [
            f"{len(names)} {text}{example_text}"
            for text, names, example_text in counted_names
            if names
        ]
        return "\n".join((*count_lines, *self.changes))

    def _reinitialized_subtrees(self) -> list[str]:
        """Return the largest subtrees without any filled parameter."""
        # A subtree is partly filled if it is the prefix of a filled path.
        partly_filled = {
            path.rsplit("/", depth)[0]
            for path in self.filled_params
            for depth in range(path.count("/") + 1)
        }
        # The shortest prefix that is not such a prefix is a wholly reinitialized subtree.
        subtrees = set()
        for path in self.reinitialized:
            steps = path.split("/")
            prefixes = ["/".join(steps[: n + 1]) for n in range(len(steps))]
            subtrees.add(next(p for p in prefixes if p not in partly_filled))
        return sorted(subtrees)


def params_from_arrays(
    arrays: Mapping[str, np.ndarray],
    mapping: ParameterMapping,
    shapes: Mapping[str, Shape],
) -> tuple[dict[str, np.ndarray], ConversionReport]:
    """Convert a checkpoint's arrays into parameters.

    Args:
        arrays: Name -> array of the checkpoint.
        mapping: Mapping of the model that the checkpoint holds.
        shapes: Path -> shape of every parameter that the checkpoint should fill.

    Returns:
        Path -> float32 array, one for each of `shapes`, and the report.

    Raises:
        ValueError: An array is missing, is unknown, has another shape, or is not finite;
            a parameter has no rule; or two arrays hold different values for one
            parameter.
    """
    # 1. Every array must be known, and every needed one there.
    rules = _matching_rules(mapping, shapes)
    missing_names = [rule.array_name for rule in rules if rule.array_name not in arrays]
    if missing_names:
        examples = _name_examples(missing_names)
        raise ValueError(f"it lacks {len(missing_names)} arrays{examples}")
    used_names = {rule.array_name for rule in rules}
    unused_names = sorted(set(arrays) - used_names)
    unknown_names = [
        n for n in unused_names if not _matches_any(n, mapping.unused_arrays)
    ]
    if unknown_names:
        raise ValueError(
            f"{len(unknown_names)} of its arrays do not belong to this model"
            f"{_name_examples(unknown_names)}; it holds another model"
        )
    # 2. Rearrange the axes; what the checkpoint holds twice must be equal.
    flat_params: dict[str, np.ndarray] = {}
    first_names: dict[str, str] = {}
    for rule in rules:
        name = rule.array_name
        for path, value in _array_to_params(rule, arrays[name], shapes).items():
            first_name = first_names.setdefault(path, name)
            first_value = flat_params.setdefault(path, value)
            if not np.array_equal(first_value, value):
                raise ValueError(
                    f"its arrays {first_name} and {name} differ, expected the same "
                    "numbers twice; save it again from the published program"
                )
    report = ConversionReport(
        tuple(sorted(used_names)), tuple(unused_names), tuple(sorted(flat_params))
    )
    return flat_params, report


def arrays_from_params(
    flat_params: FlatParams, mapping: ParameterMapping
) -> dict[str, np.ndarray]:
    """Convert parameters into a checkpoint's arrays: the inverse of `params_from_arrays`.

    Args:
        flat_params: Path -> parameter, all of the model.
        mapping: Mapping of the model.

    Returns:
        Name -> float32 array, the unused arrays of the published program among them.

    Raises:
        ValueError: A parameter has no rule.
    """
    shapes = {path: np.shape(value) for path, value in flat_params.items()}
    arrays = {
        rule.array_name: _params_to_array(rule, flat_params)
        for rule in _matching_rules(mapping, shapes)
    }
    unused_arrays = {
        name: array
        for name, array in mapping.unused_arrays.items()
        if array is not None
    }
    return arrays | unused_arrays


def _matching_rules(
    mapping: ParameterMapping, shapes: Mapping[str, Shape]
) -> list[ParameterRule]:
    """Return the rules whose parameters exist; together they name every parameter."""
    # A mapping covers several forms of a model, each of which has some parameters.
    rules = [rule for rule in mapping.rules if shapes.keys() >= set(rule.param_paths)]
    unnamed_paths = shapes.keys() - {
        path for rule in rules for path in rule.param_paths
    }
    if unnamed_paths:
        raise ValueError(
            f"the published program has no name for {len(unnamed_paths)} parameters"
            f"{_name_examples(sorted(unnamed_paths))}"
        )
    return rules


def _array_to_params(
    rule: ParameterRule, array: np.ndarray, shapes: Mapping[str, Shape]
) -> dict[str, np.ndarray]:
    """Return the parameters in one array by their paths."""
    # 1. Sizes of the named axes, from the shape of the first parameter.
    param_shape = shapes[rule.param_paths[0]]
    is_stacked = len(rule.param_paths) > 1
    param_axes = rule.axes.split("->")[1].split()
    stacked_shape = (len(rule.param_paths), *param_shape) if is_stacked else param_shape
    axis_sizes = dict(zip(param_axes, stacked_shape, strict=True))
    # 2. The shape of the array follows from them.
    expected_shape = _array_shape(rule, axis_sizes)
    if array.shape != expected_shape:
        raise ValueError(
            f"{rule.array_name} is {list(array.shape)}, expected {list(expected_shape)}"
        )
    # 3. Rearrange, and split along the stacked axis.
    if rule.has_class_token:
        array = array[:, 1:]
    float_array = np.asarray(array, np.float32)
    # A run that diverged: every mask of such a model would be empty.
    if not np.isfinite(float_array).all():
        raise ValueError(
            f"its array {rule.array_name} holds numbers that are not finite (NaN or "
            "infinity); use an earlier checkpoint"
        )
    value = rearrange(float_array, rule.axes, **axis_sizes)
    # A published (x, y) becomes (row, column).
    if rule.ends_in_xy:
        value = value[..., ::-1]
    return dict(zip(rule.param_paths, value if is_stacked else (value,), strict=True))


def _params_to_array(rule: ParameterRule, flat_params: FlatParams) -> np.ndarray:
    """Return the array that holds the parameters of a rule."""
    array_axes, param_axes = rule.axes.split("->")
    param_values = [
        np.asarray(flat_params[path], np.float32) for path in rule.param_paths
    ]
    # The inverse order of `_array_to_params`: stack, swap x and y, rearrange.
    value = np.stack(param_values) if len(param_values) > 1 else param_values[0]
    if rule.ends_in_xy:
        value = value[..., ::-1]
    array = rearrange(value, f"{param_axes} -> {array_axes}")
    if rule.has_class_token:
        array = np.concatenate([np.zeros_like(array[:, :1]), array], axis=1)
    return array


def _array_shape(rule: ParameterRule, axis_sizes: Mapping[str, int]) -> Shape:
    """Return the shape of a rule's array for given sizes of its axes."""
    # Axes of the array are words or groups of words in parentheses.
    axis_groups = re.findall(r"\([^)]*\)|\S+", rule.axes.split("->")[0])
    all_sizes = {**axis_sizes, "1": 1}
    shape = [
        math.prod(all_sizes[axis] for axis in re.findall(r"\w+", axis_group))
        for axis_group in axis_groups
    ]
    if rule.has_class_token:
        shape[1] += 1
    return tuple(shape)


def _matches_any(name: str, name_patterns: Iterable[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(name, name_pattern) for name_pattern in name_patterns
    )


def _name_examples(names: Sequence[str]) -> str:
    """Return ": a, b, c and 7 more", "" for no names."""
    if not names:
        return ""
    rest_text = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f": {', '.join(names[:3])}{rest_text}"

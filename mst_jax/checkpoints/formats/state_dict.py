"""Find the arrays of a model in what a training program saved around them.

Programs save a dict of tensors inside other dicts, together with an average of the
parameters, optimizers and counters, and with prefixes of modules around the model.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mst_jax.checkpoints.formats.torch_tensors import (
    ReadStorageFn,
    is_tensor_record,
    make_array,
)
from mst_jax.safe_pickle import PickledObject

# Keys of a dict that hold an exponential moving average, then those of the parameters
# themselves, in the order in which they are preferred.
EMA_KEYS = (
    *("ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema"),
    *("params_ema", "shadow", "shadow_params"),
)
WEIGHT_KEYS = (
    *("state_dict", "model_state_dict", "model_state", "model", "module", "net"),
    *("network", "weights", "params"),
)
CONFIG_KEY = "config"

# Deepest nesting of dicts that programs write, with one to spare.
MAX_DEPTH = 4

# Names that wrappers insert anywhere, and those in front of all names.
_WRAPPERS = re.compile(
    r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_PREFIX = re.compile(r"(?:(?:module|model|ema|ema_model|model_ema|net|network)\.)*")

# State of modules that is not a parameter, such as that of quantizers.
_EXTRA_STATE = "_extra_state"

# Smallest part of the parameters' names that an average must have to replace them.
_MIN_SHARED_NAMES = 0.9


class StateDict(NamedTuple):
    """The tensors of a checkpoint.

    Attributes:
        tensors: Name -> record of a tensor; values that are none are left to the caller.
        config: Config of the program, as plain values and records; None without one.
        remarks: Sentences about what was chosen.
    """

    tensors: Mapping[str, Any]
    config: Mapping | None
    remarks: tuple[str, ...]


class TorchArrays(NamedTuple):
    """Content of a file of PyTorch.

    Attributes:
        arrays: Name -> array, in the dtype of the file.
        config: Config of the program, as plain values and records; None without one.
        remarks: Sentences about what was chosen and left out.
    """

    arrays: dict[str, np.ndarray]
    config: Mapping | None
    remarks: tuple[str, ...]


def read_state_dict(
    content: Any, read_storage: ReadStorageFn, num_bytes: int
) -> TorchArrays:
    """Make the arrays of the tensors in the content of a checkpoint.

    Args:
        content: Value of a pickle, see `safe_pickle.read_pickled_objects`.
        read_storage: Returns the bytes of a storage by its key.
        num_bytes: Size of the file; no array may be larger.

    Raises:
        ValueError: There is no dict of tensors, or one of its entries is no array.
    """
    found = find_state_dict(content)
    has_tensors = _count_tensors(found) > 0
    arrays, plain_names = {}, []
    for name, value in found.tensors.items():
        if has_tensors and _is_plain(str(name), value):
            plain_names.append(str(name))
            continue
        try:
            arrays[str(name)] = make_array(value, read_storage, num_bytes)
        except Exception as error:  # a hostile description raises errors of any type
            raise ValueError(f"{name!r} is not an array ({error!r})") from None
    remarks = found.remarks
    if plain_names:
        names = ", ".join(plain_names[:3])
        remarks = (*remarks, f"{len(plain_names)} entries are not arrays: {names}")
    return TorchArrays(arrays, found.config, remarks)


def find_state_dict(content: Any) -> StateDict:
    """Find the dict of tensors in the content of a checkpoint.

    An exponential moving average is preferred to the parameters that it averages.

    Args:
        content: Value of a pickle, see `safe_pickle.read_pickled_objects`.

    Raises:
        ValueError: There is no dict of tensors.
    """
    found = _find_below(content, MAX_DEPTH) or _find_candidate(content)
    if found is None:
        raise ValueError(f"it holds no dict of arrays{_describe(content)}")
    return found


def _find_below(content: Any, depth: int) -> StateDict | None:
    """Return the tensors in a dict or in the dicts inside it; None without any."""
    # 1. A whole module instead of its tensors.
    module_tensors = _module_tensors(content)
    if module_tensors:
        return StateDict(module_tensors, None, ())
    if not isinstance(content, dict) or not depth:
        return None
    # 2. Dicts under the usual keys; an average of a few parameters does not count.
    config = content.get(CONFIG_KEY)
    config = config if isinstance(config, dict) else None
    candidates = {
        key: found
        for key in (*EMA_KEYS, *WEIGHT_KEYS)
        if key in content and (found := _find_below(content[key], depth - 1))
    }
    num_tensors = {key: _count_tensors(found) for key, found in candidates.items()}
    usable_keys = [
        key
        for key in candidates
        if num_tensors[key] >= _MIN_SHARED_NAMES * max(num_tensors.values())
    ]
    if usable_keys:
        found, remarks = candidates[usable_keys[0]], ()
        if len(usable_keys) > 1:
            others = " and ".join(map(repr, usable_keys[1:]))
            remarks = (f"it holds {usable_keys[0]!r} and {others}; the first is used",)
        return StateDict(
            found.tensors, found.config or config, (*remarks, *found.remarks)
        )
    # 3. The tensors themselves.
    has_tensors = any(map(is_tensor_record, content.values()))
    return StateDict(content, config, ()) if has_tensors else None


def _find_candidate(content: Any) -> StateDict | None:
    """Return the dict where tensors are expected, so that an error names its entries."""
    if not isinstance(content, dict):
        return None
    for key in WEIGHT_KEYS:
        if isinstance(content.get(key), dict) and content[key]:
            return StateDict(content[key], None, ())
    return None


def _count_tensors(found: StateDict) -> int:
    return sum(map(is_tensor_record, found.tensors.values()))


def _module_tensors(record: Any, prefix: str = "") -> dict[str, Any]:
    """Return the parameters and buffers of a pickled module; none for anything else."""
    state = getattr(record, "state", None)
    if not isinstance(state, dict) or not isinstance(state.get("_modules"), dict):
        return {}
    tensors = {
        f"{prefix}{name}": tensor
        for group in ("_parameters", "_buffers")
        for name, tensor in (state.get(group) or {}).items()
        if tensor is not None
    }
    for name, module in state["_modules"].items():
        tensors |= _module_tensors(module, f"{prefix}{name}.")
    return tensors


def _describe(content: Any) -> str:
    """Return what a checkpoint holds instead of arrays, for an error message."""
    if isinstance(content, PickledObject) and content.type_name:
        return f" but an object of {content.type_name}; save its state_dict()"
    if isinstance(content, dict) and content:
        keys = ", ".join(map(repr, list(content)[:5]))
        return f"; its keys are {keys}"
    return ""


def _is_plain(name: str, value: Any) -> bool:
    """Return whether an entry of a dict of tensors is a counter or other plain value."""
    is_plain = value is None or isinstance(value, (bool, int, float, str))
    # A number of NumPy, such as the best loss so far.
    is_plain |= getattr(value, "type_name", "").endswith("multiarray.scalar")
    return is_plain or name.endswith(_EXTRA_STATE)


def strip_prefixes(
    arrays: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Remove the names of modules around the model from the names of its arrays.

    Args:
        arrays: Name -> array, with prefixes such as "module." and "model.", the same for
            all arrays of the model. A checkpoint may hold the model several times.

    Returns:
        Name -> array of the model, and sentences about what was left out.

    Raises:
        ValueError: Two arrays have the same name without the names of wrappers.
    """
    groups: dict[str, dict[str, np.ndarray]] = {}
    for full_name, array in arrays.items():
        name = _WRAPPERS.sub("", full_name)
        prefix = _PREFIX.match(name)[0]  # pyright: ignore[reportOptionalSubscript]
        group = groups.setdefault(prefix, {})
        if group.setdefault(name.removeprefix(prefix), array) is not array:
            raise ValueError(f"it holds two arrays of the name {name}")
    chosen = _choose_group(groups)
    left_out = [
        f"{len(group)} arrays with the prefix {prefix!r} are not used"
        if prefix
        else f"{len(group)} arrays without prefix are not used"
        for prefix, group in groups.items()
        if prefix != chosen
    ]
    if not left_out:
        return groups.get(chosen, {}), ()
    return groups[chosen], (f"prefix {chosen!r} used", *left_out)


def _choose_group(groups: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """Return the prefix of the model: its average, else the largest group."""
    if not groups:
        return ""

    def is_ema(prefix: str) -> bool:
        return "ema" in re.split(r"[._]", prefix)

    plain = [prefix for prefix in groups if not is_ema(prefix)] or list(groups)
    largest = max(plain, key=lambda prefix: len(groups[prefix]))
    for prefix, group in groups.items():
        num_shared = len(group.keys() & groups[largest].keys())
        if is_ema(prefix) and num_shared >= _MIN_SHARED_NAMES * len(groups[largest]):
            return prefix
    return largest

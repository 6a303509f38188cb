"""Write `.pth` archives without PyTorch, opcode by opcode, valid ones and hostile ones."""

import dataclasses
import struct
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

STORAGE_TYPES = {
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(jnp.bfloat16): "BFloat16Storage",
    np.dtype(np.int64): "LongStorage",
}


@dataclasses.dataclass(frozen=True)
class GlobalName:
    """A class or function of some module."""

    module: str
    name: str


@dataclasses.dataclass(frozen=True)
class PickledCall:
    """An object: a call, then items and a state that its result receives."""

    function: object
    arguments: tuple = ()
    items: dict | None = None
    state: object = None


@dataclasses.dataclass(frozen=True)
class TensorStorage:
    """Values that are stored in a member of their own.

    Files before version 1.6 have one more field: the part of another storage, if any.
    """

    storage_type: str
    key: str
    num_values: int
    is_legacy: bool = False


def pickle_opcodes(value: object) -> bytes:
    """Return opcodes that leave a value on the stack."""
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"J" + struct.pack("<i", value)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(pickle_opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(pickle_opcodes, value)) + b"e"
        case dict():
            return b"}" + item_opcodes(value)
        case GlobalName():
            return f"c{value.module}\n{value.name}\n".encode()
        case TensorStorage():
            storage_type = GlobalName("torch", value.storage_type)
            persistent_id = (
                "storage",
                storage_type,
                value.key,
                "cpu",
                value.num_values,
            ) + ((None,) if value.is_legacy else ())
            return pickle_opcodes(persistent_id) + b"Q"
        case PickledCall():
            call = pickle_opcodes(value.function) + pickle_opcodes(value.arguments)
            items = b"" if value.items is None else item_opcodes(value.items)
            state = pickle_opcodes(value.state) + b"b" if value.state else b""
            return call + b"R" + items + state
    raise TypeError(f"no opcodes for a {type(value).__name__}")


def item_opcodes(items: dict) -> bytes:
    """Return opcodes that set the items of a dict on the stack."""
    pairs = b"".join(pickle_opcodes(k) + pickle_opcodes(v) for k, v in items.items())
    return b"(" + pairs + b"u"


def make_pickle(value: object) -> bytes:
    """Return a whole pickle of protocol 2."""
    return b"\x80\x02" + pickle_opcodes(value) + b"."


def make_tensor(
    storage: TensorStorage, offset: int, shape: tuple, strides: tuple
) -> PickledCall:
    """Return the call that PyTorch writes for a tensor."""
    rebuild = GlobalName("torch._utils", "_rebuild_tensor_v2")
    hooks = PickledCall(GlobalName("collections", "OrderedDict"))
    return PickledCall(rebuild, (storage, offset, shape, strides, False, hooks))


def write_archive(
    path: Path,
    content: object,
    storages: dict[str, bytes],
    *,
    byteorder: bytes = b"little",
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write an archive: the pickle of its content, and the bytes of the storages."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", make_pickle(content))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", byteorder)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
    return path


def write_pth(
    path: Path,
    arrays: dict[str, np.ndarray],
    *,
    config: dict | None = None,
    under: str = "state_dict",
) -> Path:
    """Write arrays as training programs do: {under: arrays, 'config': config}."""
    return write_nested_pth(path, {under: arrays}, config=config)


def write_nested_pth(path: Path, nested: dict, *, config: dict | None = None) -> Path:
    """Write dicts in dicts whose innermost values are arrays, and a config beside them.

    Dicts of arrays become OrderedDicts, as `state_dict()` returns them.
    """
    storages: dict[str, bytes] = {}

    def describe(value):
        if isinstance(value, dict):
            items = {name: describe(inner) for name, inner in value.items()}
            return PickledCall(GlobalName("collections", "OrderedDict"), (), items)
        array = np.ascontiguousarray(value)
        key = str(len(storages))
        storages[key] = array.tobytes()
        storage = TensorStorage(STORAGE_TYPES[array.dtype], key, array.size)
        strides = tuple(stride // array.itemsize for stride in array.strides)
        return make_tensor(storage, 0, value.shape, strides)

    content = {name: describe(value) for name, value in nested.items()}
    content |= {} if config is None else {"config": config}
    return write_archive(path, content, storages)


def write_legacy_pth(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write arrays as PyTorch did before version 1.6: {'state_dict': arrays}."""
    tensors, storages = {}, []
    for index, (name, array) in enumerate(arrays.items()):
        array = np.ascontiguousarray(array)
        storage_type = STORAGE_TYPES[array.dtype]
        storage = TensorStorage(storage_type, str(index), array.size, is_legacy=True)
        strides = tuple(stride // array.itemsize for stride in array.strides)
        tensors[name] = make_tensor(storage, 0, array.shape, strides)
        storages.append(struct.pack("<q", array.size) + array.tobytes())
    keys = [str(index) for index in range(len(storages))]
    magic_number = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    pickles = (1001, {"little_endian": True}, {"state_dict": tensors}, keys)
    path.write_bytes(
        b"".join([magic_number, *map(make_pickle, pickles), *storages]),
    )
    return path


def make_published_config(num_heads: int) -> dict:
    """Return a config of SimpleClick or MST, with objects of unknown classes."""
    loss_class = GlobalName("isegm.losses", "CrossEntropy")
    loss = PickledCall(loss_class, (), None, {"training": True})
    easy_class = GlobalName("easydict", "EasyDict")
    easy_dict = PickledCall(easy_class, (), {"DEPTH": 4}, {"DEPTH": 4})
    device = PickledCall(GlobalName("torch", "device"), ("cpu",))
    return {
        "class": "isegm.model.is_plainvit_model.PlainVitModel",
        "params": {
            "backbone_params": {
                "type": "builtin",
                "value": {"num_heads": num_heads, "img_size": (64, 64)},
            },
            "head_params": {"value": {"loss_decode": loss, "channels": 8}},
            "cfg": {"value": easy_dict, "device": device},
        },
    }


def make_adaptiveclick_config(num_heads: int) -> dict:
    """Return a config of AdaptiveClick: nested records, each with items and a state."""
    easy_class = GlobalName("easydict", "EasyDict")
    fields = {"NUM_HEADS": num_heads, "EMBED_DIM": 16}
    for name in ("BACKBONE", "MODEL"):
        fields = {name: PickledCall(easy_class, (), fields, fields)}
    value = PickledCall(easy_class, (), fields, fields)
    return {"class": "AdaptiveClickModel", "params": {"cfg": {"value": value}}}

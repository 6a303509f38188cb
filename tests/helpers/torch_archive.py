"""Writes `.pth` archives without PyTorch, opcode by opcode, honest ones and others."""

import dataclasses
import struct
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

STORAGES = {
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(jnp.bfloat16): "BFloat16Storage",
    np.dtype(np.int64): "LongStorage",
}


@dataclasses.dataclass(frozen=True)
class Name:
    """A class or function of some module."""

    module: str
    name: str


@dataclasses.dataclass(frozen=True)
class Call:
    """An object: a call, then items and a state put into its result."""

    function: object
    arguments: tuple = ()
    items: dict | None = None
    state: object = None


@dataclasses.dataclass(frozen=True)
class Storage:
    """Numbers that lie in a member of their own."""

    kind: str
    key: str
    count: int


def emit(value: object) -> bytes:
    """Opcodes that leave the value on the stack."""
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
            return b"(" + b"".join(map(emit, value)) + b"t"
        case list():
            return b"](" + b"".join(map(emit, value)) + b"e"
        case dict():
            return b"}" + emit_items(value)
        case Name():
            return f"c{value.module}\n{value.name}\n".encode()
        case Storage():
            kind = Name("torch", value.kind)
            return emit(("storage", kind, value.key, "cpu", value.count)) + b"Q"
        case Call():
            made = emit(value.function) + emit(value.arguments) + b"R"
            items = b"" if value.items is None else emit_items(value.items)
            return made + items + (emit(value.state) + b"b" if value.state else b"")


def emit_items(items: dict) -> bytes:
    pairs = b"".join(emit(key) + emit(value) for key, value in items.items())
    return b"(" + pairs + b"u"


def pickled(value: object) -> bytes:
    return b"\x80\x02" + emit(value) + b"."


def tensor(storage: Storage, offset: int, shape: tuple, strides: tuple) -> Call:
    """What PyTorch writes for a tensor."""
    rebuild = Name("torch._utils", "_rebuild_tensor_v2")
    hooks = Call(Name("collections", "OrderedDict"))
    return Call(rebuild, (storage, offset, shape, strides, False, hooks))


def write_members(
    path: Path,
    top: object,
    storages: dict[str, bytes],
    *,
    byteorder: bytes = b"little",
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Writes an archive: the pickle of `top`, and the storages' bytes."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(top))
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
    """Writes arrays as a training program does: {under: arrays, 'config': config}."""
    described, storages = {}, {}
    for number, (name, array) in enumerate(arrays.items()):
        array = np.ascontiguousarray(array)
        storage = Storage(STORAGES[array.dtype], str(number), array.size)
        strides = tuple(step // array.itemsize for step in array.strides)
        described[name] = tensor(storage, 0, array.shape, strides)
        storages[storage.key] = array.tobytes()
    state_dict = Call(Name("collections", "OrderedDict"), (), described)
    top = {under: state_dict} | ({} if config is None else {"config": config})
    return write_members(path, top, storages)


def config_of(num_heads: int) -> dict:
    """A config in the form of the published programs, with objects that nobody knows."""
    loss = Call(Name("isegm.losses", "CrossEntropy"), (), None, {"training": True})
    easy = Call(Name("easydict", "EasyDict"), (), {"DEPTH": 4}, {"DEPTH": 4})
    return {
        "class": "isegm.model.is_plainvit_model.PlainVitModel",
        "params": {
            "backbone_params": {
                "type": "builtin",
                "value": {"num_heads": num_heads, "img_size": (64, 64)},
            },
            "head_params": {"value": {"loss_decode": loss, "channels": 8}},
            "cfg": {"value": easy, "device": Call(Name("torch", "device"), ("cpu",))},
        },
    }


def easy_config_of(num_heads: int) -> dict:
    """A config in AdaptiveClick's form: records in records, each with items and state."""
    easy = {"NUM_HEADS": num_heads, "EMBED_DIM": 16}
    for name in ("BACKBONE", "MODEL"):
        easy = {name: Call(Name("easydict", "EasyDict"), (), easy, easy)}
    value = Call(Name("easydict", "EasyDict"), (), easy, easy)
    return {"class": "AdaptiveClickModel", "params": {"cfg": {"value": value}}}

"""Write a click page that needs no server: static files with the model inside."""

import dataclasses
import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mst_jax.exporting.half_weights import store_as_float16
from mst_jax.exporting.npm_package import ONNXRUNTIME_WEB, read_package_files
from mst_jax.extras import needs_extra
from mst_jax.interaction.inference_options import ZoomOptions

with needs_extra("export"):
    import onnx
    import onnxruntime

PART_BYTES = 24_000_000
"""Maximum size of a file of the model; some hosts refuse files of 25 MB or more."""

NUM_SLOTS = 24
"""Click slots of the page's input for up to 24 clicks, as of `Predictor`."""

_CHECK_STEP = 97  # pixels from one checked logit to the next
_MIN_GZIP_SAVING = 0.1  # of the size, for a file to be stored compressed
_APP_SCRIPT = '<script type="module" src="static/app.js"></script>'
_START_SCRIPT = '<script type="module" src="local/start.js"></script>'
_INPUT_NAMES = ("image", "clicks", "prev_mask")


class _Runtime(NamedTuple):
    """Files of onnxruntime-web for one kind of processor, in its folder dist.

    Attributes:
        module: JavaScript of the interface.
        glue: JavaScript around the WebAssembly.
        binary: WebAssembly.
    """

    module: str
    glue: str
    binary: str


_RUNTIMES = {
    "wasm": _Runtime(
        "ort.wasm.min.mjs",
        "ort-wasm-simd-threaded.mjs",
        "ort-wasm-simd-threaded.wasm",
    ),
    "webgpu": _Runtime(
        "ort.webgpu.min.mjs",
        "ort-wasm-simd-threaded.asyncify.mjs",
        "ort-wasm-simd-threaded.asyncify.wasm",
    ),
}


def write_web_page(
    onnx_path: Path, out_dir: Path, *, model_name: str, zoom: ZoomOptions
) -> None:
    """Write the page as a folder that any web server can host, complete or not at all.

    Args:
        onnx_path: ONNX model of the forward pass, float32, with the inputs `image`
            [b h w 3], `clicks` [b k 3] (row, column and label) and `prev_mask`
            [b h w], and the output `logits` [b h w]; any b and k.
        out_dir: Folder to write; it must not exist, or be empty.
        model_name: Name of the model for the user.
        zoom: Zoom and test-time augmentation of the page.

    Raises:
        ValueError: The folder is not empty, the model has other inputs, there is no zoom,
            or onnxruntime-web cannot be downloaded.
    """
    if zoom.size is None:
        raise ValueError(
            "the page needs a zoom size, and this model has none; give one with --zoom, "
            "for example --zoom 448"
        )
    check_page_folder(out_dir)
    # 1. Everything that can fail comes before the first file.
    model = _load_model(onnx_path)
    check = _compute_check(model, zoom.size)
    store_as_float16(model)
    names = [f"dist/{name}" for runtime in _RUNTIMES.values() for name in runtime]
    runtime_files = read_package_files(ONNXRUNTIME_WEB, names)
    manifest = {
        "model": {"name": model_name},
        "zoom": dataclasses.asdict(zoom),
        "check": check,
    }
    # 2. Write beside the folder, and rename at the end.
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    partial_dir = out_dir.parent / f".{out_dir.name}.{os.getpid()}.part"
    try:
        _write_page_files(partial_dir)
        files = {"model": _write_parts(partial_dir, "model", model.SerializeToString())}
        for backend, runtime in _RUNTIMES.items():
            binary = runtime_files[f"dist/{runtime.binary}"]
            files[backend] = _write_parts(partial_dir, backend, binary)
        manifest["files"] = files
        manifest["runtime"] = _write_runtime_scripts(partial_dir, runtime_files)
        (partial_dir / "manifest.json").write_text(json.dumps(manifest, indent=1))
        if out_dir.exists():
            out_dir.rmdir()
        partial_dir.rename(out_dir)
    finally:
        shutil.rmtree(partial_dir, ignore_errors=True)


def check_page_folder(out_dir: Path) -> None:
    """Raise ValueError if the folder of a page exists and has files.

    Args:
        out_dir: Folder to write later.
    """
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise ValueError(
            f"{out_dir} exists and is not an empty folder; choose another name, or "
            "delete it"
        )


def make_check_inputs(size: int) -> dict[str, np.ndarray]:
    """Return the inputs of the check; network.js makes the same.

    Args:
        size: Side of the image in pixels.
    """
    num_values = size * size * 3
    image = (np.arange(num_values) * 37 % 251 / 255).astype(np.float32)
    clicks = np.full((1, NUM_SLOTS, 3), -1, np.float32)
    clicks[0, :2] = [[size / 2, size / 2, 1], [size / 4, size / 4, 0]]
    return {
        "image": image.reshape(1, size, size, 3),
        "clicks": clicks,
        "prev_mask": np.zeros((1, size, size), np.float32),
    }


def _load_model(onnx_path: Path) -> onnx.ModelProto:
    """Load a model with all its parameters, and check its inputs."""
    model = onnx.load(onnx_path)
    names = [item.name for item in (*model.graph.input, *model.graph.output)]
    if names != [*_INPUT_NAMES, "logits"]:
        raise ValueError(
            f"{onnx_path} has the inputs and outputs {', '.join(names)}, expected "
            f"{', '.join(_INPUT_NAMES)} and logits; export the forward pass of a model"
        )
    return model


def _compute_check(model: onnx.ModelProto, size: int) -> dict[str, Any]:
    """Return some logits, with which the page checks what the browser computes."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    output: Any = session.run(["logits"], make_check_inputs(size))[0]
    logits: Float[np.ndarray, " n"] = output.ravel()[::_CHECK_STEP]
    return {"step": _CHECK_STEP, "logits": [round(float(v), 5) for v in logits]}


def _write_page_files(page_dir: Path) -> None:
    """Write the scripts of the annotation page, and those that replace its server."""
    static = resources.files("mst_jax.annotation") / "static"
    _copy_tree(static, page_dir / "static")
    _copy_tree(resources.files("mst_jax.exporting") / "web", page_dir / "local")
    # A service worker controls the folder that it lies in.
    (page_dir / "local" / "service_worker.js").rename(page_dir / "service_worker.js")
    page = (page_dir / "static" / "index.html").read_text(encoding="utf-8")
    assert _APP_SCRIPT in page, "index.html starts another script"
    page = page.replace(_APP_SCRIPT, _START_SCRIPT)
    (page_dir / "index.html").write_text(page, encoding="utf-8")
    (page_dir / "static" / "index.html").unlink()


def _write_runtime_scripts(
    page_dir: Path, runtime_files: Mapping[str, bytes]
) -> dict[str, dict[str, str]]:
    """Write the JavaScript of onnxruntime-web; return its entry in the manifest."""
    (page_dir / "runtime").mkdir()
    paths: dict[str, dict[str, str]] = {}
    for backend, runtime in _RUNTIMES.items():
        names = {"module": runtime.module, "glue": runtime.glue}
        for name in names.values():
            (page_dir / "runtime" / name).write_bytes(runtime_files[f"dist/{name}"])
        paths[backend] = {kind: f"runtime/{name}" for kind, name in names.items()}
    return paths


def _copy_tree(source: Traversable, target: Path) -> None:
    target.mkdir(parents=True)
    for item in source.iterdir():
        if item.is_dir():
            _copy_tree(item, target / item.name)
        else:
            (target / item.name).write_bytes(item.read_bytes())


def _write_parts(page_dir: Path, name: str, data: bytes) -> dict[str, Any]:
    """Write a large file in parts; return its entry in the manifest."""
    compressed = gzip.compress(data, 6, mtime=0)
    is_gzip = len(compressed) < (1 - _MIN_GZIP_SAVING) * len(data)
    data = compressed if is_gzip else data
    (page_dir / "parts").mkdir(exist_ok=True)
    parts = []
    for index, start in enumerate(range(0, len(data), PART_BYTES)):
        part = data[start : start + PART_BYTES]
        digest = hashlib.sha256(part).hexdigest()
        # The hash in the name: a browser may cache the file forever.
        path = f"parts/{name}-{index}-{digest[:12]}.bin"
        (page_dir / path).write_bytes(part)
        parts.append({"path": path, "size": len(part), "sha256": digest})
    return {"is_gzip": is_gzip, "parts": parts}

"""Decode files of users in processes of their own, with a limit of CPU time and memory.

A small file can take minutes to decode, for example a JPEG with thousands of progressive
scans, and no library can be interrupted while it decodes. The system ends a process that
exceeds its limit; the server then rejects the file and starts another process.

Run as a program, this module is such a process: it reads a task from stdin and writes
the result to stdout, until stdin ends.
"""

import json
import queue
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np

from mst_jax.data.decoding.smoothed_masks import SmoothedMaskError
from mst_jax.data.formats import images, label_maps

MAX_CPU_SECONDS = 20
"""CPU time for one file; the largest images take about 3 s."""

BINARIZE_PARAMETER = "binarize=true"
"""Query parameter with which a smoothed mask is read as one object."""

NUM_WORKERS = 2
"""Number of files that are decoded at the same time."""

Task = Literal["normalize", "pixels", "mask", "label_map", "thumbnail"]

_MAX_MEMORY = 6 * 2**30  # bytes of address space
_THUMBNAIL_SIDE = 192  # pixels
_LENGTHS = struct.Struct("<II")  # of the JSON header, and of the data


class DecodeLimitExceeded(ValueError):
    """A file took too much time or memory to decode."""


class SmoothedFileError(ValueError):
    """A mask looks smoothed; it is decoded with `binarize=True`."""


class DecodeWorkers:
    """A few processes; each is started when it is needed first. Thread-safe."""

    def __init__(self, max_cpu_seconds: int = MAX_CPU_SECONDS) -> None:
        """Start no process yet.

        Args:
            max_cpu_seconds: CPU time for one file.
        """
        self._max_cpu_seconds = max_cpu_seconds
        self._idle: queue.LifoQueue[subprocess.Popen | None] = queue.LifoQueue()
        for _ in range(NUM_WORKERS):
            self._idle.put(None)

    def decode(
        self, task: Task, data: bytes, **options: bool
    ) -> tuple[dict[str, Any], bytes]:
        """Decode a file; waits for an idle process.

        Args:
            task: What to return, see `_TASKS`.
            data: Bytes of the file.
            **options: Arguments of the task: `binarize` of masks and label maps.

        Returns:
            JSON header and bytes of the result.

        Raises:
            ValueError: The file is damaged or no image; `DecodeLimitExceeded` if it
                exceeds the limits, `SmoothedFileError` for a smoothed mask.
        """
        process = self._idle.get()
        try:
            if process is None or process.poll() is not None:
                process = None  # also if the start fails
                process = _start_process(self._max_cpu_seconds)
            header, result = _exchange(process, task, data, options)
        except EOFError:
            raise DecodeLimitExceeded(
                f"it takes more than {self._max_cpu_seconds} s or too much memory"
            ) from None
        finally:
            self._idle.put(process)
        if "error" in header:
            is_smoothed = header.get("is_smoothed", False)
            error_type = SmoothedFileError if is_smoothed else ValueError
            raise error_type(header["error"])
        return header, result

    def decode_array(self, task: Task, data: bytes, **options: bool) -> np.ndarray:
        """Decode a file to an array; see `decode`."""
        header, result = self.decode(task, data, **options)
        array = np.frombuffer(result, header["dtype"])
        return array.reshape(header["shape"])


def main() -> None:
    """Decode files until stdin ends; the argument is the CPU time for one file."""
    max_cpu_seconds = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cv2.utils.logging.setLogLevel(0)  # pyright: ignore[reportAttributeAccessIssue]
    cv2.setNumThreads(1)
    requests, responses = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            header, data = _read_message(requests)
        except EOFError:
            return
        # The limit counts from the start of the process, so it grows with every file.
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu_limit = int(usage.ru_utime + usage.ru_stime) + 1 + max_cpu_seconds
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit, resource.RLIM_INFINITY))
        try:
            result_header, result = _TASKS[header["task"]](data, **header["options"])
        except SmoothedMaskError as error:
            sentence = error.describe(BINARIZE_PARAMETER)
            result_header, result = {"error": sentence, "is_smoothed": True}, b""
        except ValueError as error:
            result_header, result = {"error": str(error)}, b""
        except (MemoryError, cv2.error):
            result_header, result = {"error": "it takes too much memory"}, b""
        _write_message(responses, result_header, result)


def _normalize(data: bytes) -> tuple[dict[str, Any], bytes]:
    # Of several pages the first is read; the remarks say so.
    image = images.normalize_image_data(data, page=1)
    is_unchanged = image.data == data
    header = {
        "height": image.height,
        "width": image.width,
        "unchanged": is_unchanged,
        "remarks": image.remarks,
    }
    return header, b"" if is_unchanged else image.data


def _make_thumbnail(data: bytes) -> tuple[dict[str, Any], bytes]:
    pixels = images.decode_image(data)
    # Small images keep their size, others are scaled without distortion.
    resize_scale = min(1.0, _THUMBNAIL_SIDE / max(pixels.shape[:2]))
    size = [max(1, round(resize_scale * side)) for side in pixels.shape[1::-1]]
    thumbnail = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return {}, images.encode_jpeg(thumbnail, quality=80)


def _decode_mask(data: bytes, binarize: bool = False) -> tuple[dict[str, Any], bytes]:
    return _to_message(label_maps.decode_object_mask(data, binarize=binarize))


def _decode_label_map(
    data: bytes, binarize: bool = False
) -> tuple[dict[str, Any], bytes]:
    return _to_message(label_maps.decode_label_map(data, binarize=binarize))


def _to_message(array: np.ndarray) -> tuple[dict[str, Any], bytes]:
    return {"shape": array.shape, "dtype": array.dtype.str}, array.tobytes()


_TASKS: dict[str, Callable[..., tuple[dict[str, Any], bytes]]] = {
    "normalize": _normalize,
    "thumbnail": _make_thumbnail,
    "pixels": lambda data: _to_message(images.decode_image(data)),
    "mask": _decode_mask,
    "label_map": _decode_label_map,
}


def _start_process(max_cpu_seconds: int) -> subprocess.Popen:
    # In a session of its own, so that Ctrl-C reaches the server only.
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(max_cpu_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _exchange(
    process: subprocess.Popen, task: Task, data: bytes, options: dict[str, bool]
) -> tuple[dict[str, Any], bytes]:
    """Send a task and return the result; EOFError if the process has ended."""
    try:
        _write_message(process.stdin, {"task": task, "options": options}, data)
        return _read_message(process.stdout)
    except (OSError, EOFError):
        process.kill()
        process.wait()
        raise EOFError from None


def _write_message(file: Any, header: dict[str, Any], data: bytes) -> None:
    encoded_header = json.dumps(header).encode()
    file.write(_LENGTHS.pack(len(encoded_header), len(data)) + encoded_header)
    file.write(data)
    file.flush()


def _read_message(file: Any) -> tuple[dict[str, Any], bytes]:
    header_length, data_length = _LENGTHS.unpack(_read_exactly(file, _LENGTHS.size))
    header = json.loads(_read_exactly(file, header_length))
    return header, _read_exactly(file, data_length)


def _read_exactly(file: Any, num_bytes: int) -> bytes:
    data = file.read(num_bytes)
    if len(data) < num_bytes:
        raise EOFError
    return data


if __name__ == "__main__":
    main()

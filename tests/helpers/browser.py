"""The command `serve` in a process of its own, and headless Chromium to look at it."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

_PATIENCE = 240.0  # seconds until the model is compiled
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@contextlib.contextmanager
def serve(checkpoint: Path, *words: object) -> Iterator[str]:
    """Runs the server until it is left; gives its address once the model is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "mst_jax.serve", "--checkpoint", checkpoint]
    command += ["--port", port, *words]
    environment = {**os.environ, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5"}
    with subprocess.Popen(list(map(str, command)), env=environment) as process:
        try:
            _wait_until_ready(url, process)
            yield url
        finally:
            process.terminate()


@contextlib.contextmanager
def launch() -> Iterator[object]:
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright  # only these tests need it

    path = shutil.which("chromium")
    if path is None:
        pytest.fail("no chromium found; `make test-browser` installs it")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


def _wait_until_ready(url: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, "the server ended"
        if _is_ready(url):
            return
        time.sleep(0.2)
    raise AssertionError("the model did not get ready")


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}api/about") as answer:
            return json.load(answer)["ready"]
    except OSError:  # not even listening
        return False

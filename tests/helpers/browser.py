"""The annotation server in a process of its own, and headless Chromium for its page."""

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

MAX_COMPILE_SECONDS = 240.0
_CHROMIUM_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP labels.example.org 127.0.0.1",
)


# Not for the whole session: two folders use this fixture, each with its own instance,
# and Playwright cannot run twice at the same time.
@pytest.fixture(scope="package")
def browser():
    """Start headless Chromium; return Playwright's `Browser`."""
    from playwright.sync_api import sync_playwright  # only these tests need it

    executable_path = shutil.which("chromium")
    if executable_path is None:
        pytest.fail("no chromium found; `make test-browser` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable_path, args=_CHROMIUM_FLAGS
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def serve(
    checkpoint: str | Path, *flags: str | Path, token: str | None = None
) -> Iterator[str]:
    """Run `mst_jax.serve` inside a with block.

    Args:
        checkpoint: Path or name of the model.
        flags: Further command-line flags and their values.
        token: Token that every request must carry; None = no token.

    Yields:
        URL of the server with a trailing slash, once the model is compiled.
    """
    port = find_free_port()
    server_url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "mst_jax.serve", "--checkpoint", str(checkpoint)]
    command += ["--port", str(port), *map(str, flags)]
    environment = {**os.environ, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5"}
    headers = {}
    if token is not None:
        environment["MST_JAX_TOKEN"] = token
        headers["authorization"] = f"Bearer {token}"
    with subprocess.Popen(command, env=environment) as process:
        try:
            request = urllib.request.Request(f"{server_url}api/about", headers=headers)
            _wait_until_ready(request, process)
            yield server_url
        finally:
            process.terminate()


def find_free_port() -> int:
    """Return a TCP port of this machine that nothing listens to."""
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        return free_socket.getsockname()[1]


def _wait_until_ready(
    request: urllib.request.Request, process: subprocess.Popen
) -> None:
    deadline = time.monotonic() + MAX_COMPILE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server exited"
        if _is_ready(request):
            return
        time.sleep(0.2)
    raise AssertionError(f"the model is not ready after {MAX_COMPILE_SECONDS:g} s")


def _is_ready(request: urllib.request.Request) -> bool:
    # OSError: the server does not listen yet.
    try:
        with urllib.request.urlopen(request) as response:
            return json.load(response)["ready"]
    except OSError:
        return False

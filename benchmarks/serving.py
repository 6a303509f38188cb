"""Measure how long users wait for a mask: one alone, and twenty who click for a minute.

The times are also printed in units of the model's forward pass, which is measured in
between, because the speed of a shared machine changes.

python benchmarks/serving.py mst-small
"""

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage
from unit import measure_unit

import mst_jax
from mst_jax.annotation.serving.compiled_steps import NetworkInput, forward
from mst_jax.data.formats.images import encode_png
from mst_jax.inference.click_session import Click, to_click_slots
from mst_jax.interaction.inference_options import zoom_options_of
from mst_jax.interaction.zoom_predict import as_pytree

HEIGHT, WIDTH = 480, 640
CLICKS_PER_OBJECT = 12
NUM_SINGLE_CLICKS = 60  # clicks of the user who is alone
NUM_ROUNDS = 6  # of users at the same time; forward passes are measured in between
JSON_HEADERS = {"content-type": "application/json"}


class SimulatedUser:
    """Opens an image of their own and clicks as soon as the last mask has arrived.

    Attributes:
        wait_ms: Time from each click to its mask in milliseconds.
        server_ms: The part of it that the server reports.
    """

    def __init__(self, port: int, seed: int) -> None:
        """Open an image.

        Args:
            port: Port of the server on this machine.
            seed: Seed of the image and the clicks.
        """
        self._connection = HTTPConnection("127.0.0.1", port)
        self._rng = np.random.default_rng(seed)
        # Smooth noise: compresses like a photograph, and no two users share an image.
        white_noise = self._rng.normal(size=(HEIGHT, WIDTH, 3))
        smooth_noise = ndimage.gaussian_filter(white_noise, (12, 12, 0))
        image = np.clip(128 + 2500 * smooth_noise, 0, 255).astype(np.uint8)
        headers = {"content-type": "image/png"}
        opened_session = self._call_server(
            "POST", "/api/sessions", encode_png(image), headers
        )
        self._objects_url = f"/api/sessions/{opened_session['session_id']}/objects"
        self._clicks_url = ""
        self.wait_ms: list[float] = []
        self.server_ms: list[float] = []

    def add_object(self) -> None:
        """Add an object; the next clicks belong to it."""
        created_object = self._call_server(
            "POST", self._objects_url, b"{}", JSON_HEADERS
        )
        self._clicks_url = f"{self._objects_url}/{created_object['object_id']}/clicks"

    def click(self) -> None:
        """Click at a random position and record the time until the mask arrives."""
        is_first = len(self.wait_ms) % CLICKS_PER_OBJECT == 0
        # The first click on an object must be positive; later ones are mixed.
        click = {
            "x": float(self._rng.uniform(0, WIDTH - 1)),
            "y": float(self._rng.uniform(0, HEIGHT - 1)),
            "positive": bool(is_first or self._rng.random() < 0.6),
        }
        body = json.dumps(click).encode()
        start_time = time.perf_counter()
        http_response = self._call_server("POST", self._clicks_url, body, JSON_HEADERS)
        self.wait_ms.append(1000 * (time.perf_counter() - start_time))
        self.server_ms.append(http_response["elapsed_ms"])

    def click_repeatedly(
        self, *, seconds: float = np.inf, num_clicks: float = np.inf
    ) -> None:
        """Click until the time is over or the number of clicks is reached.

        Args:
            seconds: Time in seconds.
            num_clicks: Number of clicks.
        """
        # The server closes connections that were idle for 5 s; a new one is opened.
        self._connection.close()
        end_time = time.perf_counter() + seconds
        while time.perf_counter() < end_time and len(self.wait_ms) < num_clicks:
            if len(self.wait_ms) % CLICKS_PER_OBJECT == 0:
                self.add_object()
            self.click()

    def _call_server(
        self, http_method: str, url_path: str, body: bytes, headers: dict
    ) -> dict:
        self._connection.request(http_method, url_path, body, headers)
        http_response = self._connection.getresponse()
        response_json = json.loads(http_response.read())
        if http_response.status >= 400:
            raise RuntimeError(f"{http_response.status}: {response_json['error']}")
        return response_json


@contextlib.contextmanager
def run_server(checkpoint: str) -> Iterator[int]:
    """Start the server, yield its port once everything is compiled, and stop it.

    Regions of interest do not grow, so that each click needs one forward pass.

    Args:
        checkpoint: Checkpoint to serve.
    """
    with socket.create_server(("127.0.0.1", 0)) as free_socket:
        port = free_socket.getsockname()[1]
    with tempfile.TemporaryDirectory() as sessions_dir:
        server_command = [sys.executable, "-m", "mst_jax.serve"]
        server_command += ["--checkpoint", checkpoint, "--sessions", sessions_dir]
        server_command += ["--port", str(port), "--zoom-max-growths", "0"]
        server_process = subprocess.Popen(server_command, stdout=subprocess.DEVNULL)
        # The server may also end on its own, for example for a bad checkpoint.
        try:
            while server_process.poll() is None and not is_ready(port):
                time.sleep(0.5)
            if server_process.poll() is not None:
                raise SystemExit("the server did not start")
            yield port
        finally:
            server_process.terminate()
            server_process.wait()


def is_ready(port: int) -> bool:
    """Return True once the server has compiled everything.

    Args:
        port: Port of the server on this machine.
    """
    http_connection = HTTPConnection("127.0.0.1", port)
    try:
        http_connection.request("GET", "/api/about")
        return json.load(http_connection.getresponse())["ready"]
    except OSError:  # not listening yet
        return False


def make_forward_pass(checkpoint: str) -> Callable[[], float]:
    """Return a function that runs the network once, as the server does, and its time.

    Args:
        checkpoint: Checkpoint that is served; its zoom gives the size of the input.

    Returns:
        Function that returns the milliseconds of one forward pass of a batch of one.
    """
    model = mst_jax.load(checkpoint)
    zoom = zoom_options_of(model)
    if zoom.size is None:
        raise SystemExit(f"{checkpoint} has no zoom, so its input has no fixed size")
    crop = jax.random.uniform(jax.random.key(0), (1, zoom.size, zoom.size, 4))
    network_input = NetworkInput(crop, to_click_slots((Click(10.0, 10.0, True),)))
    network = as_pytree(model)

    def run_once() -> float:
        start_time = time.perf_counter()
        prob = forward(network, (network_input,), flip_tta=zoom.flip_tta)
        jnp.asarray(prob).block_until_ready()
        return 1000 * (time.perf_counter() - start_time)

    run_once()  # compiles
    return run_once


def print_row(
    name: str,
    users: list[SimulatedUser],
    seconds: float,
    num_errors: int,
    forward_ms: list[float],
) -> None:
    """Print one row of the table.

    Args:
        name: Text of the first column.
        users: Users who clicked at the same time.
        seconds: Duration of their work in seconds.
        num_errors: Number of users who ended with an error.
        forward_ms: Times of forward passes in between.
    """
    wait_ms = np.concatenate([user.wait_ms for user in users])
    server_ms = np.concatenate([user.server_ms for user in users])
    median_ms, percentile_95 = np.percentile(wait_ms, [50, 95])
    unit_ms = float(np.median(forward_ms))
    # Time for each click that is not a forward pass: of one user or of all together.
    overhead = 1000 * seconds / len(wait_ms) / unit_ms - 1
    print(
        f"| {name} | {len(wait_ms)} | {num_errors} | {len(wait_ms) / seconds:.1f} | "
        f"{median_ms:.0f} | {percentile_95:.0f} | {np.percentile(server_ms, 50):.0f} | "
        f"{unit_ms:.0f} | {median_ms / unit_ms:.2f} | {percentile_95 / unit_ms:.2f} | "
        f"{100 * overhead:.0f} % |",
        flush=True,
    )


def measure_single_user(port: int, run_forward: Callable[[], float]) -> None:
    """Measure one user alone and print the row.

    Args:
        port: Port of the server on this machine.
        run_forward: Runs one forward pass and returns its milliseconds.
    """
    user, forward_ms = SimulatedUser(port, 0), []
    while len(user.wait_ms) < NUM_SINGLE_CLICKS:
        user.click_repeatedly(num_clicks=len(user.wait_ms) + 1)
        forward_ms.append(run_forward())
    print_row("one", [user], sum(user.wait_ms) / 1000, 0, forward_ms)


def measure_concurrent_users(
    port: int, num_users: int, seconds: float, run_forward: Callable[[], float]
) -> None:
    """Measure many users who click at the same time and print the row.

    Args:
        port: Port of the server on this machine.
        num_users: Number of users.
        seconds: Duration in seconds.
        run_forward: Runs one forward pass and returns its milliseconds.
    """
    users = [SimulatedUser(port, 1 + seed) for seed in range(num_users)]
    # All begin together, once every image is open.
    start_barrier = threading.Barrier(num_users)

    def has_error(user: SimulatedUser) -> bool:
        start_barrier.wait()
        try:
            user.click_repeatedly(seconds=seconds / NUM_ROUNDS)
        except (RuntimeError, OSError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return True
        return False

    busy_seconds, num_errors, forward_ms = 0.0, 0, []
    with ThreadPoolExecutor(num_users) as thread_pool:
        for _ in range(NUM_ROUNDS):
            start_time = time.perf_counter()
            num_errors += sum(thread_pool.map(has_error, users))
            busy_seconds += time.perf_counter() - start_time
            forward_ms += [run_forward() for _ in range(5)]
    print_row(str(num_users), users, busy_seconds, num_errors, forward_ms)


def main() -> None:
    """Print a table: one user alone, then many at the same time."""
    parser = argparse.ArgumentParser(
        description="Measure how long users of the annotation server wait for a mask."
    )
    parser.add_argument("checkpoint", help="anything that mst_jax.load takes")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    flags = parser.parse_args()
    # The speed of this machine before and after, to compare runs.
    print(f"unit: {1000 * measure_unit():.0f} ms")
    print(
        "| users | clicks | errors | clicks/s | p50 | p95 | server p50 | forward p50 | "
        "p50 / forward | p95 / forward | overhead |"
    )
    print("|---|" + "---:|" * 10)
    with run_server(flags.checkpoint) as port:
        run_forward = make_forward_pass(flags.checkpoint)
        measure_single_user(port, run_forward)
        measure_concurrent_users(port, flags.users, flags.seconds, run_forward)
    print(f"unit: {1000 * measure_unit():.0f} ms")


if __name__ == "__main__":
    main()

"""A server that is killed and restarted, and users that note what it tells them."""

import dataclasses
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from tests.helpers.browser import find_free_port

MAX_START_SECONDS = 240.0


class SoakServer:
    """`mst_jax.serve` in a process of its own.

    Attributes:
        save_dir: Folder of the output files.
        pid: ID of the process.
    """

    def __init__(self, model_dir: Path, photos: Path, save_dir: Path) -> None:
        self.save_dir, self._port = save_dir, find_free_port()
        self._command = [sys.executable, "-m", "mst_jax.serve"]
        self._command += ["--checkpoint", str(model_dir), "--port", str(self._port)]
        self._command += ["--folder", str(photos), "--save", str(save_dir)]
        self._process: subprocess.Popen | None = None
        self.pid = 0

    def start(self) -> None:
        """Start the process, and wait until it answers."""
        environment = {
            **os.environ,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
        }
        self._process = subprocess.Popen(
            self._command, env=environment, stdout=subprocess.DEVNULL
        )
        self.pid = self._process.pid
        deadline = time.monotonic() + MAX_START_SECONDS
        while True:
            assert self._process.poll() is None, "the server exited"
            assert time.monotonic() < deadline
            try:
                self.send("GET", "/api/about")
                return
            except OSError:
                time.sleep(0.1)

    def kill(self) -> None:
        """End the process as by `kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def send(
        self, method: str, path: str, body: Any = None, request_key: str | None = None
    ) -> Any:
        """Send a request, and return the JSON of the response.

        Raises:
            urllib.error.HTTPError: The server rejected the request.
            OSError: No response.
        """
        headers = {"content-type": "application/json"}
        if request_key is not None:
            headers["idempotency-key"] = request_key
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            None if body is None else json.dumps(body).encode(),
            headers,
            method=method,
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            data = response.read()
        return json.loads(data) if data else {}

    def read_sessions(self) -> dict[str, dict]:
        """Return image name -> session of all images that were opened."""
        images = self.send("GET", "/api/images")["images"]
        return {
            item["name"]: self.send("GET", f"/api/sessions/{item['session_id']}")
            for item in images
            if item["session_id"] is not None
        }

    def wait_for_exports(self) -> None:
        """Wait until the output files are up to date."""
        deadline = time.monotonic() + 60
        while not all(item["is_exported"] for item in self.read_sessions().values()):
            assert time.monotonic() < deadline
            time.sleep(0.2)


@dataclasses.dataclass
class ToldObject:
    """What the server told the only user of an object about it.

    Attributes:
        object_id: ID of the object.
        response: Last response about the object.
        is_open: True while a request about it has no response yet; it may or may not
            have been applied.
    """

    object_id: int
    response: dict
    is_open: bool = False

    def check(self, item: dict | None) -> None:
        """Compare with the object of the server; None = the server has none."""
        if item is None:
            assert self.is_open or self.response["is_deleted"], self
            return
        if self.response["is_deleted"]:
            raise AssertionError(f"deleted object returned: {self}")
        keys = ("name", "clicks", "finished", "area", "version", "saved_version")
        keys += ("mask",) if "mask" in self.response else ()
        told = {key: self.response[key] for key in keys}
        # A request without a response may have been applied, but never more than one.
        is_same = told == {key: item[key] for key in keys}
        assert is_same or (self.is_open and item["version"] <= told["version"] + 1), (
            told,
            item,
        )


class SoakUser:
    """Annotates images of the folder with random actions, and repeats failed requests.

    Attributes:
        told: (image name, object ID) -> what the server told about the object.
        num_actions: Number of actions that were acknowledged.
        num_full_disk: Number of actions that a full disk has rejected.
        error: What has ended the thread of the user; None = nothing.
    """

    def __init__(
        self, server: SoakServer, seed: int, pause_seconds: float = 0.0
    ) -> None:
        self._server, self._random = server, random.Random(seed)
        self._pause_seconds = pause_seconds
        self.told: dict[tuple[str, int], ToldObject] = {}
        self.num_actions = self.num_full_disk = 0
        self.error: Exception | None = None
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work in a thread."""
        self._is_stopped.clear()
        self._thread = threading.Thread(target=self._work_or_note, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give up the present request, and wait for the end of the thread."""
        self._is_stopped.set()
        assert self._thread is not None
        self._thread.join()

    def _work_or_note(self) -> None:
        try:
            self._work()
        except Exception as error:  # the test fails with it
            self.error = error

    def _work(self) -> None:
        while not self._is_stopped.is_set():
            listed = self._try("GET", "/api/images")
            if listed is None:
                return
            name = self._random.choice([item["name"] for item in listed["images"]])
            opened = self._try("POST", "/api/sessions", {"image": name})
            if opened is not None:
                self._annotate(name, f"/api/sessions/{opened['session_id']}/objects")

    def _annotate(self, name: str, objects_url: str) -> None:
        """Add an object, click, and finish, reopen or delete it."""
        created = self._try("POST", objects_url, {"name": self._random.choice("abc")})
        if created is None:
            return
        told = ToldObject(created["object_id"], {**created, "is_deleted": False})
        self.told[name, told.object_id] = told
        url = f"{objects_url}/{told.object_id}"
        for _ in range(self._random.randint(2, 6)):
            action = self._random.choice(["click", "click", "undo", "finish", "reopen"])
            if action == "click":
                click = {
                    "x": self._random.uniform(0, 83),
                    "y": self._random.uniform(0, 59),
                    "positive": self._random.random() < 0.8,
                }
                self._act(told, "POST", f"{url}/clicks", click)
            elif action == "undo":
                self._act(told, "POST", f"{url}/undo")
            else:
                self._act(told, "PATCH", url, {"finished": action == "finish"})
        if self._random.random() < 0.2 and not self._is_stopped.is_set():
            told.is_open = True
            if self._try("DELETE", url) is not None:
                told.response["is_deleted"], told.is_open = True, False

    def _act(self, told: ToldObject, method: str, url: str, body: Any = None) -> None:
        # A person looks at each result.
        if self._is_stopped.wait(self._random.uniform(0, 2 * self._pause_seconds)):
            return
        told.is_open = True
        response = self._try(method, url, body)
        if response is not None:
            told.response = {**told.response, **response, "is_deleted": False}
            told.is_open = False
            self.num_actions += 1

    def _try(self, method: str, url: str, body: Any = None) -> Any:
        """Send a request until it is answered; None if the user is stopped before."""
        request_key = None if method == "GET" else uuid.uuid4().hex
        while not self._is_stopped.is_set():
            try:
                return self._server.send(method, url, body, request_key)
            except urllib.error.HTTPError as error:
                if error.code != 507:
                    raise
                self.num_full_disk += 1
            except OSError:
                pass
            time.sleep(0.05)
        return None

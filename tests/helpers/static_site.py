"""A plain web server for the files of a folder, as a static host is one."""

import contextlib
import functools
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class StaticSite(NamedTuple):
    """A folder that a web server hosts.

    Attributes:
        url: URL of the folder with a trailing slash.
        requested_paths: Paths of all requests so far.
        held_words: Requests whose path contains one of these words wait.
    """

    url: str
    requested_paths: list[str]
    held_words: list[str]


class _RecordingHandler(http.server.SimpleHTTPRequestHandler):
    """Answers requests, and records their paths instead of printing them."""

    def __init__(
        self,
        *arguments,
        requested_paths: list[str],
        held_words: list[str],
        **options,
    ) -> None:
        self._requested_paths, self._held_words = requested_paths, held_words
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        while any(word in self.path for word in self._held_words):
            time.sleep(0.05)
        super().do_GET()

    def log_message(self, format: str, *values) -> None:
        self._requested_paths.append(self.path)


@contextlib.contextmanager
def host_folder(folder: Path) -> Iterator[StaticSite]:
    """Serve a folder on a free port of this machine inside a with block."""
    requested_paths: list[str] = []
    held_words: list[str] = []
    handler = functools.partial(
        _RecordingHandler,
        directory=str(folder),
        requested_paths=requested_paths,
        held_words=held_words,
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        yield StaticSite(url, requested_paths, held_words)
    finally:
        held_words.clear()
        server.shutdown()
        server.server_close()
        thread.join()

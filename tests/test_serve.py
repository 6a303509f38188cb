import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from mst_jax import serve
from mst_jax.data.formats.images import encode_png
from tests.helpers.analytic_network import draw_picture
from tests.helpers.small_checkpoint import write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


def sentence(argv, capsys) -> str:
    with pytest.raises(SystemExit) as caught:
        serve.main([str(word) for word in argv])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--folder", "nowhere"], "--folder is nowhere"),
        (["--save", "masks"], "--save"),
        (["--zoom", "33"], "patch"),
        (["--zoom", "x"], "--zoom"),
        (["--port", "99999"], "--port"),
        (["--max-sessions", "0"], "--max-sessions"),
        (["--checkpoint", "nowhere"], "nowhere"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_what_cannot_be_served_is_one_sentence(
    checkpoint, tmp_path, capsys, words, says
):
    argv = ["--checkpoint", checkpoint, "--sessions", tmp_path, *words]
    line = sentence(argv, capsys)
    assert line.startswith("serve: ") and says in line


def test_two_pictures_that_would_be_saved_as_one(checkpoint, tmp_path, capsys):
    for name in ("a.png", "a.bmp"):
        (tmp_path / name).write_bytes(encode_png(draw_picture()[0]))
    argv = ["--checkpoint", checkpoint, "--sessions", tmp_path / "s"]
    argv += ["--folder", tmp_path, "--save", tmp_path / "masks"]
    assert "a.bmp and a.png" in sentence(argv, capsys)


def test_a_port_in_use_is_one_sentence(checkpoint, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        argv = ["--checkpoint", checkpoint, "--sessions", tmp_path, "--port", port]
        assert str(port) in sentence(argv, capsys)


def test_the_command_serves_until_it_is_stopped(checkpoint, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mst_jax.serve", "--checkpoint", checkpoint]
    command += ["--sessions", tmp_path / "sessions", "--port", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ
    )
    try:
        about = None
        end = time.monotonic() + 60
        while about is None and time.monotonic() < end:
            time.sleep(0.2)
            with contextlib.suppress(OSError):
                address = f"http://127.0.0.1:{port}/api/about"
                with urllib.request.urlopen(address) as answer:
                    about = json.load(answer)
        assert about["model"] == "simpleclick tiny"
    finally:
        process.terminate()
        said = process.communicate(timeout=30)[0].decode()
    assert f"http://127.0.0.1:{port}/" in said and "Traceback" not in said
    assert (tmp_path / "sessions").stat().st_mode & 0o077 == 0

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
from tests.helpers.analytic_network import draw_image
from tests.helpers.small_checkpoint import write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


def run_rejected(argv, capsys) -> str:
    """Run a command that must end with one line on stderr; return the line."""
    with pytest.raises(SystemExit) as caught:
        serve.main([str(argument) for argument in argv])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--folder", "nowhere"], "--folder is nowhere"),
        (["--save", "masks"], "--save"),
        (["--zoom", "33"], "patch"),
        (["--zoom", "x"], "--zoom"),
        (["--zoom-min-side", "0"], "min_side"),
        (["--port", "99999"], "--port"),
        (["--max-sessions", "0"], "--max-sessions"),
        (["--max_in_memory", "0"], "--max-in-memory"),
        (["--checkpoint", "nowhere"], "nowhere"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_invalid_flags_are_one_sentence(checkpoint, tmp_path, capsys, flags, message):
    argv = ["--checkpoint", checkpoint, "--sessions", tmp_path, *flags]
    line = run_rejected(argv, capsys)
    assert line.startswith("serve: ") and message in line


def test_images_that_would_be_saved_to_one_file_are_one_sentence(
    checkpoint, tmp_path, capsys
):
    for name in ("a.png", "a.bmp"):
        (tmp_path / name).write_bytes(encode_png(draw_image()[0]))
    argv = ["--checkpoint", checkpoint, "--sessions", tmp_path / "s"]
    argv += ["--folder", tmp_path, "--save", tmp_path / "masks"]
    assert "a.bmp and a.png" in run_rejected(argv, capsys)


def test_port_in_use_is_one_sentence(checkpoint, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as used_socket:
        port = used_socket.getsockname()[1]
        argv = ["--checkpoint", checkpoint, "--sessions", tmp_path, "--port", port]
        assert str(port) in run_rejected(argv, capsys)


def test_flags_take_precedence_over_the_trained_zoom(checkpoint, tmp_path):
    argv = ["--checkpoint", str(checkpoint), "--sessions", str(tmp_path)]
    flags = serve.make_parser().parse_args([*argv, "--zoom=none", "--no-flip-tta"])
    engine = serve.build_app(flags).state.engine
    assert not engine.accepts_size(33, 48) and engine.accepts_size(32, 48)
    flags = serve.make_parser().parse_args(argv)
    assert serve.build_app(flags).state.engine.accepts_size(33, 48)


def test_command_serves_until_it_is_stopped(checkpoint, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free_socket:
        port = free_socket.getsockname()[1]
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
                url = f"http://127.0.0.1:{port}/api/about"
                with urllib.request.urlopen(url) as response:
                    about = json.load(response)
        assert about["model"] == "simpleclick tiny"
    finally:
        process.terminate()
        output = process.communicate(timeout=30)[0].decode()
    assert f"http://127.0.0.1:{port}/" in output and "Traceback" not in output
    assert (tmp_path / "sessions").stat().st_mode & 0o077 == 0

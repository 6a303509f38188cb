import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile

import numpy as np
import pytest

from mst_jax import serve
from mst_jax.annotation.files.export_formats import LabeledMask
from mst_jax.annotation.store.database import Database
from mst_jax.annotation.store.saved_objects import insert_saved_objects
from tests.helpers.annotation_client import insert_session
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
        (["--max_memory", "0"], "--max-memory"),
        (["--labels", "nowhere"], "--labels nowhere"),
        (["--export", "x.json"], "annotations.sqlite3"),
        (["--checkpoint", "nowhere"], "nowhere"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_invalid_flags_are_one_sentence(checkpoint, tmp_path, capsys, flags, message):
    argv = ["--checkpoint", checkpoint, "--sessions", tmp_path, *flags]
    line = run_rejected(argv, capsys)
    assert line.startswith("error: ") and message in line


def test_output_among_the_images_is_one_sentence(checkpoint, tmp_path, capsys):
    argv = ["--checkpoint", checkpoint, "--sessions", tmp_path / "s"]
    argv += ["--folder", tmp_path, "--save", tmp_path / "masks"]
    assert "separate folders" in run_rejected(argv, capsys)
    assert not (tmp_path / "masks").exists()


def test_second_server_is_one_sentence(checkpoint, tmp_path, capsys):
    database = Database(tmp_path)
    argv = ["--checkpoint", checkpoint, "--sessions", tmp_path, "--port", 0]
    assert "another server" in run_rejected(argv, capsys)
    database.close()


def test_annotations_are_exported_by_command(tmp_path, capsys):
    database = Database(tmp_path / "masks" / ".mst_jax")
    mask = np.zeros((60, 84), bool)
    mask[3:9] = True
    insert_session(database, "one", folder_name="a.png", output_stem="a")
    with database.transaction() as connection:
        labeled_mask = LabeledMask(7, None, None, mask)
        insert_saved_objects(connection, "one", [labeled_mask], [None])
    database.close()
    argv = ["--save", str(tmp_path / "masks"), "--export"]
    serve.main([*argv, str(tmp_path / "coco.json")])
    tree = json.loads((tmp_path / "coco.json").read_bytes())
    assert tree["images"][0]["file_name"] == "a.png"
    assert tree["annotations"][0]["area"] == mask.sum()
    serve.main([*argv, str(tmp_path / "labels.zip")])
    with zipfile.ZipFile(tmp_path / "labels.zip") as zip_archive:
        assert zip_archive.namelist() == ["a.png"]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("masks", "coco.json", "labels.zip"),
    }


def test_port_in_use_is_one_sentence(checkpoint, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as used_socket:
        port = used_socket.getsockname()[1]
        argv = ["--checkpoint", checkpoint, "--sessions", tmp_path, "--port", port]
        assert str(port) in run_rejected(argv, capsys)


def test_flags_take_precedence_over_the_trained_zoom(checkpoint, tmp_path):
    argv = ["--checkpoint", str(checkpoint), "--sessions", str(tmp_path)]
    flags = serve.make_parser().parse_args([*argv, "--zoom=none", "--no-flip-tta"])
    app = serve.build_app(flags)
    app.state.registry.database.close()
    engine = app.state.engine
    assert not engine.accepts_size(33, 48) and engine.accepts_size(32, 48)
    flags = serve.make_parser().parse_args(argv)
    app = serve.build_app(flags)
    app.state.registry.database.close()
    assert app.state.engine.accepts_size(33, 48)


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

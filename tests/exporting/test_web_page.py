import gzip
import hashlib
import json
import random
import re

import numpy as np
import onnx
import pytest

from mst_jax.exporting import web_page
from mst_jax.exporting.web_page import write_web_page
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_onnx import write_analytic_onnx

ZOOM = ZoomOptions(size=32, min_side=20, max_growths=2)


@pytest.fixture(autouse=True)
def package_files(monkeypatch):
    """Replace onnxruntime-web, which is downloaded, by files of the same names."""

    def read_files(package, names):
        # Random bytes do not compress: they are stored in parts as they are.
        return {name: random.Random(name).randbytes(3000) for name in names}

    monkeypatch.setattr(web_page, "read_package_files", read_files)
    monkeypatch.setattr(web_page, "PART_BYTES", 1000)
    return read_files


@pytest.fixture
def model_path(tmp_path):
    return write_analytic_onnx(tmp_path / "model.onnx", ZOOM.size)


@pytest.fixture
def page_dir(model_path, tmp_path):
    page_dir = tmp_path / "deep" / "page"
    write_web_page(model_path, page_dir, model_name="formula", zoom=ZOOM)
    return page_dir


def read_parts(page_dir, file):
    for part in file["parts"]:
        data = (page_dir / part["path"]).read_bytes()
        assert len(data) == part["size"] <= 1000
        assert hashlib.sha256(data).hexdigest() == part["sha256"]
        assert part["sha256"][:12] in part["path"]
    data = b"".join((page_dir / part["path"]).read_bytes() for part in file["parts"])
    return gzip.decompress(data) if file["is_gzip"] else data


def test_large_files_are_parts_that_hosts_accept(page_dir, package_files, model_path):
    files = json.loads((page_dir / "manifest.json").read_text())["files"]
    name = "dist/ort-wasm-simd-threaded.wasm"
    assert read_parts(page_dir, files["wasm"]) == package_files(None, [name])[name]
    assert not files["wasm"]["is_gzip"]
    assert files["model"]["is_gzip"]
    model = onnx.load_from_string(read_parts(page_dir, files["model"]))
    expected = onnx.load(model_path)
    assert [item.name for item in model.graph.input] == [
        item.name for item in expected.graph.input
    ]


def test_the_page_starts_the_local_server_and_keeps_the_rest(page_dir):
    page = (page_dir / "index.html").read_text()
    assert page.count("local/start.js") == 1
    assert "static/app.js" not in page
    # Relative, so that the folder may lie anywhere on a host.
    for address in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert not address.startswith(("/", "http"))
        assert (page_dir / address).is_file(), address


def test_all_imports_of_all_scripts_exist(page_dir):
    scripts = [*page_dir.glob("*.js"), *page_dir.glob("[ls]*/**/*.js")]
    assert len(scripts) > 40
    pattern = r'(?:from|import|import\()\s*"(\.[^"]+)"|new URL\("([\w./]+\.js)"'
    for script in scripts:
        for imported, opened in re.findall(pattern, script.read_text()):
            assert (script.parent / (imported or opened)).is_file(), (script, imported)


def test_no_script_names_another_address(page_dir):
    for script in (*page_dir.glob("local/**/*.js"), *page_dir.glob("*.js")):
        for address in re.findall(r"https?://[\w.]+", script.read_text()):
            assert address == "http://local", script


def test_the_check_is_what_onnxruntime_computes(page_dir, model_path):
    manifest = json.loads((page_dir / "manifest.json").read_text())
    check = manifest["check"]
    inputs = web_page.make_check_inputs(ZOOM.size)
    session = web_page.onnxruntime.InferenceSession(model_path)
    logits = session.run(None, inputs)[0].ravel()[:: check["step"]]
    np.testing.assert_allclose(check["logits"], logits, atol=1e-5)
    assert manifest["zoom"]["size"] == ZOOM.size
    assert len(check["logits"]) >= 10


def test_a_folder_with_files_is_refused_and_keeps_them(model_path, tmp_path):
    page_dir = tmp_path / "page"
    page_dir.mkdir()
    (page_dir / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not an empty folder"):
        write_web_page(model_path, page_dir, model_name="formula", zoom=ZOOM)
    assert [path.name for path in page_dir.iterdir()] == ["notes.txt"]


def test_nothing_is_left_if_the_runtime_cannot_be_downloaded(
    model_path, tmp_path, monkeypatch
):
    def fail(package, names):
        raise ValueError("no network")

    monkeypatch.setattr(web_page, "read_package_files", fail)
    with pytest.raises(ValueError, match="no network"):
        write_web_page(model_path, tmp_path / "page", model_name="formula", zoom=ZOOM)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_nothing_is_left_if_the_disk_is_full(model_path, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(web_page, "_write_parts", fail)
    with pytest.raises(OSError, match="No space"):
        write_web_page(model_path, tmp_path / "page", model_name="formula", zoom=ZOOM)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_model_without_zoom_is_refused(model_path, tmp_path):
    with pytest.raises(ValueError, match="give one with --zoom"):
        write_web_page(
            model_path,
            tmp_path / "page",
            model_name="formula",
            zoom=ZoomOptions(size=None),
        )


def test_a_model_with_other_inputs_is_refused(model_path, tmp_path):
    model = onnx.load(model_path)
    model.graph.input[1].name = "points"
    onnx.save(model, model_path)
    with pytest.raises(ValueError, match="image, points, prev_mask, logits"):
        write_web_page(model_path, tmp_path / "page", model_name="formula", zoom=ZOOM)

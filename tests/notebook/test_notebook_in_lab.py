"""The widget in JupyterLab: `click_demo.ipynb`, run and clicked in headless Chromium."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

from tests.annotation.conftest import write_model
from tests.helpers.session_figures import ROOT, read_story

pytestmark = pytest.mark.browser

MOST_BYTES = 300_000
_PATIENCE = 240  # seconds until a model is compiled
_IS_READY = """() => window.jupyterapp?.shell.currentWidget?.sessionContext
  ?.session?.kernel?.status === "idle\""""
_KERNEL = {
    "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3",
    "language": "python",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that has `click_demo.ipynb` and nobody's settings."""
    program = os.environ.get("JUPYTER_LAB") or shutil.which("jupyter-lab")
    if program is None:
        pytest.skip("no JupyterLab found; pip install jupyterlab")
    root = tmp_path_factory.mktemp("lab")
    model = os.environ.get("CHECKPOINT") or write_model(root / "model")
    (root / "work").mkdir()
    story = read_story("click_demo", CHECKPOINT=str(model))
    for cell in story.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(story, root / "work" / "click_demo.ipynb")
    with start_lab(program, root) as url:
        yield url


@contextlib.contextmanager
def start_lab(program, root):
    kernel = root / "share" / "kernels" / "python3" / "kernel.json"
    settings = root / "settings" / "@jupyterlab" / "apputils-extension"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps(_KERNEL))
    settings.mkdir(parents=True)
    news = settings / "notification.jupyterlab-settings"
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        # Kernels of the tests, and the widgets that are installed beside them.
        "JUPYTER_PATH": f"{root / 'share'}:{sys.prefix}/share/jupyter",
        "JUPYTER_CONFIG_DIR": str(root / "config"),
        "JUPYTER_DATA_DIR": str(root / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(root / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(root / "workspaces"),
        "IPYTHONDIR": str(root / "ipython"),
        "PYTHONPATH": str(ROOT),
    }
    command = [program, "--no-browser", "--allow-root", "--expose-app-in-browser"]
    command += [
        "--ip=127.0.0.1",
        f"--port={port}",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={root / 'work'}",
    ]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL
    ) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(lambda: urllib.request.urlopen(f"{url}/api/status"))
            yield url
        finally:
            process.terminate()


def wait_for(ask):
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            return ask()
        time.sleep(0.3)
    raise AssertionError("JupyterLab did not start")


@pytest.fixture
def tab(browser, lab):
    """The notebook after all of its cells have run."""
    with browser.new_context(viewport={"width": 1000, "height": 900}) as context:
        tab = context.new_page()
        tab.goto(f"{lab}/doc/tree/click_demo.ipynb")
        tab.wait_for_function(_IS_READY, timeout=1000 * _PATIENCE)
        tab.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")
        widget = tab.locator(".mst-click")
        widget.locator("img").wait_for(timeout=1000 * _PATIENCE)
        tab.wait_for_timeout(1000)
        yield tab


def test_clicks_in_jupyterlab_become_masks(tab, tmp_path):
    widget = tab.locator(".mst-click")
    picture, text = widget.locator("img"), widget.locator(".text")
    widget.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box["width"] / box["height"] == pytest.approx(512 / 342, rel=0.01)
    assert box["width"] >= 400

    def at(row, column):
        side = box["width"] / 512
        return {"x": (column + 0.5) * side, "y": (row + 0.5) * side}

    def said(count):
        pattern = re.compile(rf"^clicks: {count}, mask: .* of the picture, \d+ ms$")
        text.filter(has_text=pattern).wait_for()

    widget.get_by_role("button", name="reset").click()
    said(0)
    picture.click(position=at(178, 245))
    said(1)
    picture.click(position=at(150, 150), modifiers=["Shift"])
    said(2)
    widget.get_by_role("button", name="undo").click()
    said(1)
    picture.click(position=at(325, 280), button="right")
    said(2)
    picture.click(position=at(100, 250))
    said(3)
    # Neither a menu nor a selection of cells has come up.
    assert tab.locator(".lm-Menu-content, .jp-mod-multiSelected").count() == 0
    assert widget.locator(".error").inner_text() == ""
    shot = tab.screenshot(type="jpeg", quality=85)
    assert len(shot) < MOST_BYTES
    folder = Path(os.environ.get("PICTURES", tmp_path))
    (folder / "notebook.jpg").write_bytes(shot)
    check_python_knows(tab)


def check_python_knows(tab):
    """The next cell, run again, shows the same clicks."""
    cell = tab.locator(".jp-CodeCell").last
    cell.locator(".cm-content").click()
    tab.keyboard.press("Control+Enter")
    clicks = cell.locator(".jp-OutputArea-output pre")
    row = r"\[( *[\d.]+){3}\]"
    # Not those of the first run, whose third is at 85.
    third = re.compile(rf"\[{row}\s+{row}\s+\[ *(99|100|101)\.")
    shown = clicks.filter(has_text=third)
    shown.wait_for()
    # The browser clicks on whole pixels of the page: within one of the picture.
    found = [float(text) for text in re.findall(r"[\d.]+", shown.inner_text())]
    assert found == pytest.approx([178, 245, 1, 325, 280, 0, 100, 250, 1], abs=1)


def test_what_is_refused_is_said_below_the_picture(tab):
    widget = tab.locator(".mst-click")
    widget.get_by_role("button", name="reset").click()
    widget.get_by_role("button", name="finish").click()
    error = widget.locator(".error")
    error.filter(has_text="the mask is empty, so no object is finished").wait_for()
    widget.get_by_role("button", name="+ object").click()
    assert widget.get_by_role("button", name="not this").is_visible()

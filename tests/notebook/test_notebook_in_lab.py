"""The widget in JupyterLab: `click_demo.ipynb`, run and clicked in headless Chromium."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

from tests.helpers.browser import (  # noqa: F401
    MAX_COMPILE_SECONDS,
    browser,
    find_free_port,
)
from tests.helpers.notebooks import ROOT, read_notebook
from tests.helpers.token_model import write_token_model

pytestmark = pytest.mark.browser

MAX_BYTES = 300_000
IMAGE_HEIGHT, IMAGE_WIDTH = 342, 512  # of examples/photos/flower.jpg
_KERNEL_IS_IDLE = """() => window.jupyterapp?.shell.currentWidget?.sessionContext
  ?.session?.kernel?.status === "idle\""""
_KERNEL_SPEC = {
    "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3",
    "language": "python",
}


@pytest.fixture(scope="module")
def lab_url(tmp_path_factory):
    """Start a JupyterLab with `click_demo.ipynb` and default settings; return its URL."""
    program = os.environ.get("JUPYTER_LAB") or shutil.which("jupyter-lab")
    if program is None:
        pytest.skip("no JupyterLab found; pip install jupyterlab")
    lab_dir = tmp_path_factory.mktemp("lab")
    checkpoint = os.environ.get("CHECKPOINT") or write_token_model(lab_dir / "model")
    (lab_dir / "work").mkdir()
    # The first cell uses a clone of this name in the working directory.
    (lab_dir / "work" / "mst_jax_clone").symlink_to(ROOT)
    notebook = read_notebook("click_demo", CHECKPOINT=str(checkpoint))
    # Without outputs, the widget appears only when its cell has run.
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(notebook, lab_dir / "work" / "click_demo.ipynb")
    with start_lab(program, lab_dir) as lab_url:
        yield lab_url


@contextlib.contextmanager
def start_lab(program, lab_dir):
    """Run JupyterLab inside a with block, with all its files in `lab_dir`."""
    # 1. A kernel of the tests' Python, and no question about news.
    kernel_file = lab_dir / "share" / "kernels" / "python3" / "kernel.json"
    kernel_file.parent.mkdir(parents=True)
    kernel_file.write_text(json.dumps(_KERNEL_SPEC))
    settings_dir = lab_dir / "settings" / "@jupyterlab" / "apputils-extension"
    settings_dir.mkdir(parents=True)
    news_file = settings_dir / "notification.jupyterlab-settings"
    news_file.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment = {
        **os.environ,
        # The kernel above, and the widgets installed with the tests' Python.
        "JUPYTER_PATH": f"{lab_dir / 'share'}:{sys.prefix}/share/jupyter",
        "JUPYTER_CONFIG_DIR": str(lab_dir / "config"),
        "JUPYTER_DATA_DIR": str(lab_dir / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(lab_dir / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(lab_dir / "workspaces"),
        "IPYTHONDIR": str(lab_dir / "ipython"),
        "PYTHONPATH": str(ROOT),
    }
    # 2. The server, without a password.
    port = find_free_port()
    command = [program, "--no-browser", "--allow-root", "--expose-app-in-browser"]
    command += [
        "--ip=127.0.0.1",
        f"--port={port}",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={lab_dir / 'work'}",
    ]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL
    ) as process:
        lab_url = f"http://127.0.0.1:{port}"
        try:
            wait_until_reachable(f"{lab_url}/api/status")
            yield lab_url
        finally:
            process.terminate()


def wait_until_reachable(url):
    deadline = time.monotonic() + MAX_COMPILE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url)
            return
        time.sleep(0.3)
    raise AssertionError("JupyterLab did not start")


@pytest.fixture
def tab(browser, lab_url):  # noqa: F811
    """Return a tab with the notebook after all of its cells have run."""
    max_wait_ms = 1000 * MAX_COMPILE_SECONDS
    with browser.new_context(viewport={"width": 1000, "height": 900}) as context:
        tab = context.new_page()
        tab.goto(f"{lab_url}/doc/tree/click_demo.ipynb")
        tab.wait_for_function(_KERNEL_IS_IDLE, timeout=max_wait_ms)
        tab.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")
        widget = tab.locator(".mst-click-widget")
        widget.locator("img").wait_for(timeout=max_wait_ms)
        tab.wait_for_timeout(1000)
        yield tab


def test_clicks_in_jupyterlab_change_the_mask(tab, tmp_path):
    widget = tab.locator(".mst-click-widget")
    image, status_text = widget.locator("img"), widget.locator(".status-text")
    widget.scroll_into_view_if_needed()
    image_box = image.bounding_box()
    aspect_ratio = image_box["width"] / image_box["height"]
    assert aspect_ratio == pytest.approx(IMAGE_WIDTH / IMAGE_HEIGHT, rel=0.01)
    assert image_box["width"] >= 400

    def display_position(row, column):
        scale = image_box["width"] / IMAGE_WIDTH
        return {"x": (column + 0.5) * scale, "y": (row + 0.5) * scale}

    def wait_for_num_clicks(num_clicks):
        pattern = rf"^clicks: {num_clicks}, mask: .* of the image, \d+ ms$"
        status_text.filter(has_text=re.compile(pattern)).wait_for()

    # 1. Clicks of every kind, and the buttons.
    widget.get_by_role("button", name="reset").click()
    wait_for_num_clicks(0)
    image.click(position=display_position(178, 245))
    wait_for_num_clicks(1)
    image.click(position=display_position(150, 150), modifiers=["Shift"])
    wait_for_num_clicks(2)
    widget.get_by_role("button", name="undo").click()
    wait_for_num_clicks(1)
    image.click(position=display_position(325, 280), button="right")
    wait_for_num_clicks(2)
    image.click(position=display_position(100, 250))
    wait_for_num_clicks(3)
    # 2. Neither a menu nor a selection of cells has appeared.
    assert tab.locator(".lm-Menu-content, .jp-mod-multiSelected").count() == 0
    assert widget.locator(".error-message").inner_text() == ""
    screenshot = tab.screenshot(type="jpeg", quality=85)
    assert len(screenshot) < MAX_BYTES
    output_dir = Path(os.environ.get("PICTURES", tmp_path))
    (output_dir / "notebook.jpg").write_bytes(screenshot)
    check_clicks_in_python(tab)


def check_clicks_in_python(tab):
    """Run the last cell again and check that it prints the same clicks."""
    cell = tab.locator(".jp-CodeCell").last
    cell.locator(".cm-content").click()
    tab.keyboard.press("Control+Enter")
    printed_clicks = cell.locator(".jp-OutputArea-output pre")
    # The third click of the first run is in row 85; wait for the one in row 100.
    row = r"\[( *[\d.]+){3}\]"
    third_row = re.compile(rf"\[{row}\s+{row}\s+\[ *(99|100|101)\.")
    output = printed_clicks.filter(has_text=third_row)
    output.wait_for()
    # Browsers click on whole CSS pixels: within one pixel of the image.
    values = [float(text) for text in re.findall(r"[\d.]+", output.inner_text())]
    assert values == pytest.approx([178, 245, 1, 325, 280, 0, 100, 250, 1], abs=1)


def test_rejected_action_is_explained_below_the_image(tab):
    widget = tab.locator(".mst-click-widget")
    widget.get_by_role("button", name="reset").click()
    widget.get_by_role("button", name="finish").click()
    error_message = widget.locator(".error-message")
    error_message.filter(has_text="the mask is empty, so there is no object").wait_for()
    widget.get_by_role("button", name="+ object").click()
    assert widget.get_by_role("button", name="not object").is_visible()

"""The notebooks run from top to bottom, and their text and outputs follow some rules."""

import ast

import jax
import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_client import KernelManager
from nbclient import NotebookClient

import mst_jax
from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.dataset import write_dataset
from tests.helpers import tiny_config
from tests.helpers.notebooks import (
    KERNEL_PYTHON,
    NOTEBOOK_PATHS,
    ROOT,
    read_notebook,
)
from tests.helpers.small_checkpoint import SMALL_CONFIG, write_checkpoint

MAX_BYTES, MAX_CELL_LINES = 400_000, 15
LOCAL_PATHS = ("/home/", "/root/", "/tmp/", "site-packages")


@pytest.fixture
def run_notebook(monkeypatch):
    """Return a function that runs a notebook in a new kernel."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run_notebook(notebook):
        manager = KernelManager()
        # The kernel runs in the Python of the tests, not in the one of the system.
        manager.kernel_spec.argv[0] = KERNEL_PYTHON
        client = NotebookClient(notebook, km=manager, timeout=300)
        client.execute(cwd=str(ROOT / "colab"))
        return notebook

    return run_notebook


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def output_media_types(notebook):
    """Return the media types of all outputs."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return [media_type for output in outputs for media_type in output.get("data", ())]


def count_images(notebook):
    """Count the images among the outputs."""
    media_types = output_media_types(notebook)
    return sum(media_type.startswith("image/") for media_type in media_types)


def test_click_demo_shows_masks_and_one_widget(run_notebook, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "model")
    notebook = read_notebook("click_demo", CHECKPOINT=str(checkpoint))
    run_notebook(notebook)
    assert count_images(notebook) == 5
    widget_type = "application/vnd.jupyter.widget-view+json"
    assert output_media_types(notebook).count(widget_type) == 1


@pytest.mark.slow
def test_train_tiny_trains_and_shows_images(run_notebook, tmp_path):
    def small_shapes(data_dir):
        return Shapes(data_dir=data_dir, num_train=4, num_validation=1, size=64)

    write_dataset(small_shapes, "shapes", tmp_path)
    constants = {
        "DATA": str(tmp_path),
        "RUN": str(tmp_path / "run"),
        "CONFIG": "tests/helpers/tiny_config.py",
    }
    notebook = run_notebook(read_notebook("train_tiny", **constants))
    assert count_images(notebook) == 4


@pytest.mark.slow
def test_finetune_own_compares_before_and_after(run_notebook, tmp_path):
    model_config = tiny_config.get_config().model.to_dict()
    checkpoint = write_checkpoint(
        tmp_path / "model", config=SMALL_CONFIG | {"model": model_config}
    )
    config_file = tmp_path / "config.py"
    config_file.write_text(
        "from tests.helpers import tiny_config\n"
        "def get_config():\n"
        "    config = tiny_config.get_config()\n"
        "    config.data.split, config.validation.split = 'train[:80%]', 'train[80%:]'\n"
        "    return config\n"
    )
    constants = {
        "SOURCE": str(tmp_path / "own"),
        "CHECKPOINT": str(checkpoint),
        "CONFIG": str(config_file),
    }
    notebook = run_notebook(read_notebook("finetune_own", **constants))
    assert count_images(notebook) == 3
    *_, table, _ = code_cells(notebook)
    rows = [line.split("\t") for line in table.outputs[-1].text.splitlines()]
    assert [row[0] for row in rows] == ["clicks", "before", "after"]
    assert [len(row) for row in rows] == [7, 7, 7]
    before, after = (
        mst_jax.load(folder) for folder in (checkpoint, tmp_path / "own/run")
    )
    leaves = zip(*map(jax.tree.leaves, (before.params, after.params)), strict=True)
    assert any(np.any(np.asarray(old) != np.asarray(new)) for old, new in leaves)


def test_afl_anywhere_trains_another_network(run_notebook):
    notebook = run_notebook(read_notebook("afl_anywhere", STEPS=2))
    assert count_images(notebook) == 3


@pytest.mark.parametrize("path", NOTEBOOK_PATHS, ids=lambda path: path.stem)
def test_notebooks_alternate_text_and_short_code(path):
    assert path.stat().st_size < MAX_BYTES
    notebook = read_notebook(path.stem)
    cell_types = [cell.cell_type for cell in notebook.cells]
    num_pairs = len(cell_types) // 2
    assert cell_types == ["markdown", "code"] * num_pairs + ["markdown"]
    # Code that needs functions or classes belongs in the library.
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= MAX_CELL_LINES
        tree = ast.parse(TransformerManager().transform_cell(cell.source))
        assert not any(isinstance(node, definitions) for node in ast.walk(tree))


@pytest.mark.parametrize("path", NOTEBOOK_PATHS, ids=lambda path: path.stem)
def test_notebooks_hold_outputs_without_errors_and_local_paths(path):
    notebook = read_notebook(path.stem)
    assert count_images(notebook) >= 3
    for execution_count, cell in enumerate(code_cells(notebook), start=1):
        assert cell.execution_count == execution_count
        assert all(output.output_type != "error" for output in cell.outputs)
    text = path.read_text()
    assert not [local_path for local_path in LOCAL_PATHS if local_path in text]

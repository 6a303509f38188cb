"""The notebooks run from top to bottom, and read as a story."""

import ast
import sys

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_client import KernelManager
from nbclient import NotebookClient

from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.dataset import write_set
from tests.helpers.session_figures import PLACES, ROOT, read_story
from tests.helpers.small_checkpoint import write_checkpoint

MOST_BYTES, MOST_LINES = 400_000, 15


def code_of(story):
    return [cell for cell in story.cells if cell.cell_type == "code"]


@pytest.fixture
def run(monkeypatch):
    """Runs a story in a kernel of its own and returns it with its outputs."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(story):
        manager = KernelManager()
        manager.kernel_spec.argv[0] = sys.executable
        NotebookClient(story, km=manager, timeout=300).execute(cwd=str(ROOT / "colab"))
        return story

    return run


def pictures_in(story):
    """Number of pictures among the outputs."""
    outputs = [output for cell in code_of(story) for output in cell.outputs]
    kinds = [kind for output in outputs for kind in output.get("data", ())]
    return sum(kind.startswith("image/") for kind in kinds)


def test_weights_picture_clicks_mask(run, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "model")
    story = run(read_story("click_demo", CHECKPOINT=str(checkpoint)))
    assert pictures_in(story) == 5
    views = [output for cell in code_of(story) for output in cell.outputs]
    widget = "application/vnd.jupyter.widget-view+json"
    assert sum(widget in view.get("data", ()) for view in views) == 1


def test_scenes_training_curve_clicks(run, tmp_path):
    def small(folder):
        return Shapes(data_dir=folder, num_train=4, num_validation=1, size=64)

    write_set(small, "shapes", tmp_path)
    places = dict(DATA=str(tmp_path), RUN=str(tmp_path / "run"))
    places["CONFIG"] = "tests/helpers/tiny_config.py"
    assert pictures_in(run(read_story("train_tiny", **places))) == 4


def test_the_loss_in_a_network_of_others(run):
    assert pictures_in(run(read_story("afl_anywhere", STEPS=2))) == 3


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.stem)
def test_a_notebook_is_text_a_call_a_picture(place):
    assert place.stat().st_size < MOST_BYTES
    story = read_story(place.stem)
    kinds = [cell.cell_type for cell in story.cells]
    assert kinds == ["markdown", "code"] * (len(kinds) // 2) + ["markdown"]
    for cell in code_of(story):
        assert len(cell.source.splitlines()) <= MOST_LINES
        tree = ast.parse(TransformerManager().transform_cell(cell.source))
        banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        assert not any(isinstance(node, banned) for node in ast.walk(tree))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.stem)
def test_a_notebook_shows_what_it_made_and_not_where(place):
    story = read_story(place.stem)
    assert pictures_in(story) >= 3
    for number, cell in enumerate(code_of(story), start=1):
        assert cell.execution_count == number
        assert all(output.output_type != "error" for output in cell.outputs)
    text = place.read_text()
    assert not [
        word for word in ("/home/", "/root/", "/tmp/", "site-packages") if word in text
    ]

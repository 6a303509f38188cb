import subprocess
import sys

import numpy as np
import pytest

from mst_jax.data.formats.images import decode_picture, encode_jpeg
from mst_jax.inference.predictor import Predictor
from mst_jax.notebook.widget import ClickWidget, draw
from tests.helpers.analytic_network import bumps, draw_picture

IMAGE, _ = draw_picture()


def opened(image=IMAGE):
    predictor = Predictor(bumps, zoom=48, zoom_min_side=16, mirror=True)
    predictor.set_image(image)
    return predictor


def tell(widget, **message):
    """What the browser's side does: `model.send(message)`."""
    content = {"method": "custom", "content": message}
    widget._handle_msg({"content": {"data": content}, "buffers": []})


def test_clicks_give_the_masks_of_the_predictor():
    predictor, alone = opened(), opened()
    widget = ClickWidget(predictor)
    tell(widget, do="click", x=42, y=20, positive=True)
    first = alone.click(20, 42)
    np.testing.assert_array_equal(predictor.mask, first)
    tell(widget, do="click", x=10, y=50, positive=False)
    np.testing.assert_array_equal(predictor.mask, alone.click(50, 10, positive=False))
    expected = f"clicks: 2, mask: {alone.mask.mean():.1%} of the picture, "
    assert widget.state["text"].startswith(expected)
    assert widget.state["text"].endswith(" ms")
    tell(widget, do="undo")
    np.testing.assert_array_equal(predictor.mask, first)
    tell(widget, do="redo")
    np.testing.assert_array_equal(predictor.mask, alone.mask)
    tell(widget, do="reset")
    assert not predictor.mask.any()
    assert widget.state["answered"] == 5


def test_it_shows_what_the_predictor_knows():
    predictor = opened(np.zeros_like(IMAGE))
    widget = ClickWidget(predictor)
    assert not predictor.session.past  # compiling has left no trace
    assert (widget.state["height"], widget.state["width"]) == IMAGE.shape[:2]
    assert not draw(predictor).any()
    tell(widget, do="click", x=42, y=20, positive=True)
    tell(widget, do="finish")
    assert draw(predictor)[20, 42].tolist() == [68, 68, 68]  # a tint of grey
    tell(widget, do="click", x=70, y=50, positive=True)
    red, green, blue = draw(predictor)[50, 76].tolist()
    assert red < green < blue
    assert widget.shown == encode_jpeg(draw(predictor))


def test_what_is_refused_is_one_sentence_and_nothing_has_changed():
    predictor = opened()
    widget = ClickWidget(predictor)
    tell(widget, do="finish")
    assert widget.state["error"].startswith("the mask is empty")
    tell(widget, do="click", x=84, y=20, positive=True)
    assert "column 84 lies outside the picture" in widget.state["error"]
    assert not predictor.session.past
    tell(widget, do="click", x=42, y=20, positive=True)
    assert widget.state["error"] == "" and predictor.mask.any()


def test_a_model_that_fails_does_not_end_the_widget():
    predictor = opened()
    widget = ClickWidget(predictor)
    predictor.click = lambda *_: raise_out_of_memory()
    tell(widget, do="click", x=42, y=20, positive=True)
    assert widget.state["error"] == "out of memory"


def raise_out_of_memory():
    raise RuntimeError("out of memory\nand a page of addresses")


def test_a_large_picture_is_sent_small_and_clicked_as_it_is():
    predictor = opened(np.tile(IMAGE, (30, 2, 1)))
    widget = ClickWidget(predictor)
    assert decode_picture(widget.shown).shape == (1280, 119, 3)
    tell(widget, do="click", x=160, y=1799, positive=True)
    assert predictor.clicks.tolist() == [[1799, 160, 1]]


def test_without_a_picture_it_says_what_to_do():
    with pytest.raises(ValueError, match="there is no picture yet; call set_image"):
        ClickWidget(Predictor(bumps))


def test_without_anywidget_it_says_what_to_install():
    program = (
        "import sys; sys.modules['anywidget'] = None\n"
        "try: import mst_jax.notebook.widget\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert "pip install 'mst_jax[notebook]'" in done.stdout

"""The notebook widget, driven by the messages that its browser part sends."""

import subprocess
import sys

import numpy as np
import pytest

from mst_jax.data.formats.images import decode_image, encode_jpeg
from mst_jax.inference.predictor import Predictor
from mst_jax.notebook.widget import ClickWidget, draw_annotations
from tests.helpers.analytic_network import analytic_model
from tests.helpers.open_predictor import IMAGE, open_predictor


def send_message(widget, **message):
    """Send a message as `model.send(message)` in the browser does."""
    content = {"method": "custom", "content": message}
    widget._handle_msg({"content": {"data": content}, "buffers": []})


def test_messages_run_the_actions_of_the_predictor():
    predictor, reference = open_predictor(), open_predictor()
    widget = ClickWidget(predictor)
    # 1. Two clicks, as row and column on the reference.
    send_message(widget, action="click", x=42, y=20, positive=True)
    first_mask = reference.click(20, 42)
    np.testing.assert_array_equal(predictor.mask, first_mask)
    send_message(widget, action="click", x=10, y=50, positive=False)
    second_mask = reference.click(50, 10, positive=False)
    np.testing.assert_array_equal(predictor.mask, second_mask)
    status_text = widget.view_state["status_text"]
    expected = f"clicks: 2, mask: {second_mask.mean():.1%} of the image, "
    assert status_text.startswith(expected)
    assert status_text.endswith(" ms")
    # 2. The history.
    send_message(widget, action="undo")
    np.testing.assert_array_equal(predictor.mask, first_mask)
    send_message(widget, action="redo")
    np.testing.assert_array_equal(predictor.mask, second_mask)
    send_message(widget, action="reset")
    assert not predictor.mask.any()
    assert widget.view_state["num_responses"] == 5


def test_image_shows_finished_and_current_masks():
    predictor = open_predictor(image=np.zeros_like(IMAGE))
    widget = ClickWidget(predictor)
    # Compiling has not changed the predictor.
    assert not predictor.session.past
    view_state = widget.view_state
    image_size = view_state["image_height"], view_state["image_width"]
    assert image_size == IMAGE.shape[:2]
    assert not draw_annotations(predictor).any()
    # A finished mask is gray.
    send_message(widget, action="click", x=42, y=20, positive=True)
    send_message(widget, action="finish")
    assert draw_annotations(predictor)[20, 42].tolist() == [68, 68, 68]
    # The current mask is blue.
    send_message(widget, action="click", x=70, y=50, positive=True)
    red, green, blue = draw_annotations(predictor)[50, 76].tolist()
    assert red < green < blue
    assert widget.display_jpeg == encode_jpeg(draw_annotations(predictor))


def test_rejected_actions_show_one_sentence_and_change_nothing():
    predictor = open_predictor()
    widget = ClickWidget(predictor)
    send_message(widget, action="finish")
    assert widget.view_state["error_message"].startswith("the mask is empty")
    send_message(widget, action="click", x=84, y=20, positive=True)
    error_message = widget.view_state["error_message"]
    assert "column 84 lies outside the image" in error_message
    assert not predictor.session.past
    send_message(widget, action="click", x=42, y=20, positive=True)
    assert widget.view_state["error_message"] == "" and predictor.mask.any()


def test_failing_model_does_not_stop_the_widget():
    predictor = open_predictor()
    widget = ClickWidget(predictor)
    predictor.click = lambda *_: raise_out_of_memory()
    send_message(widget, action="click", x=42, y=20, positive=True)
    assert widget.view_state["error_message"] == "out of memory"


def raise_out_of_memory():
    raise RuntimeError("out of memory\nand a page of addresses")


def test_large_image_is_displayed_small_and_clicked_at_full_size():
    predictor = open_predictor(image=np.tile(IMAGE, (30, 2, 1)))
    widget = ClickWidget(predictor)
    assert decode_image(widget.display_jpeg).shape == (1280, 119, 3)
    send_message(widget, action="click", x=160, y=1799, positive=True)
    assert predictor.clicks.tolist() == [[1799, 160, 1]]


def test_predictor_without_an_image_is_rejected():
    with pytest.raises(ValueError, match="there is no image yet; call set_image"):
        ClickWidget(Predictor(analytic_model))
    with pytest.raises(ValueError, match="there is no image yet; call set_image"):
        draw_annotations(Predictor(analytic_model))


def test_missing_anywidget_names_the_package_to_install():
    program = (
        "import sys; sys.modules['anywidget'] = None\n"
        "try: import mst_jax.notebook.widget\n"
        "except ImportError as error: print(error)"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert "pip install 'mst_jax[notebook]'" in completed.stdout

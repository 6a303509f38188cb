"""Annotate objects with clicks in a notebook (Colab, JupyterLab, VS Code).

Needs neither a server nor a port.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from mst_jax.data.formats.images import encode_jpeg
from mst_jax.extras import needs_extra
from mst_jax.inference import overlay
from mst_jax.inference.predictor import Predictor

with needs_extra("notebook"):
    import anywidget
    import traitlets

FINISHED_COLOR = (150, 150, 150)
"""RGB of finished objects."""

_WIDGET_DIR = Path(__file__).parent
_MAX_DISPLAY_SIDE = 1280  # pixels; larger images are downscaled for the browser


class ClickWidget(anywidget.AnyWidget):
    """Show the image of a predictor and pass clicks on it to the predictor.

    A left click is positive; a right click or Shift + click is negative. The results are
    `predictor.mask` and `predictor.finished`. If the predictor rejects an action, its
    error is shown below the image and nothing changes.

    Attributes:
        display_jpeg: Image with masks and clicks as JPEG; sides are at most 1280 pixels.
        view_state: Values shown by the browser: `status_text` and `error_message` below
            the image, `image_height` and `image_width` of the full image in pixels, and
            `num_responses`, the number of messages answered so far.
    """

    # anywidget reads the browser's part from these two attributes.
    _esm = _WIDGET_DIR / "widget.js"
    _css = _WIDGET_DIR / "widget.css"
    # Traits with sync=True are sent to the browser when they change.
    display_jpeg = traitlets.Bytes().tag(sync=True)
    view_state = traitlets.Dict().tag(sync=True)

    def __init__(self, predictor: Predictor) -> None:
        """Compile the model, so that no click waits for it, and show the image.

        Args:
            predictor: Predictor with an image; it can also be used outside the widget.

        Raises:
            ValueError: The predictor has no image.
        """
        # This prediction changes neither clicks nor masks of the predictor.
        predictor.predict([[0, 0]], [1])
        super().__init__()
        self._predictor = predictor
        self._actions: dict[str, Callable[[], Any]] = {
            "undo": predictor.undo,
            "redo": predictor.redo,
            "reset": predictor.reset,
            "finish": predictor.finish,
        }
        self.on_msg(self._handle_message)
        self._update_view("Click on an object.")

    def _handle_message(
        self, _widget: object, message: Mapping[str, Any], _buffers: object
    ) -> None:
        """Run the action that the browser requests.

        Args:
            message: `{"action": "undo"}`, or a click `{"action": "click", "x": 3, "y": 4,
                "positive": true}` in pixels of the full image.
        """
        start_time, error_message = time.perf_counter(), ""
        # 1. Run the action; after an error the widget stays usable.
        try:
            if message["action"] == "click":
                self._predictor.click(message["y"], message["x"], message["positive"])
            else:
                self._actions[message["action"]]()
        except (ValueError, RuntimeError) as error:  # errors of JAX are RuntimeErrors
            error_message = str(error).partition("\n")[0]
        # 2. Report the result.
        elapsed_ms = 1000 * (time.perf_counter() - start_time)
        num_clicks = len(self._predictor.clicks)
        area_fraction = self._predictor.mask.mean()
        status_text = f"clicks: {num_clicks}, mask: {area_fraction:.1%} of the image, "
        self._update_view(f"{status_text}{elapsed_ms:.0f} ms", error_message)

    def _update_view(self, status_text: str, error_message: str = "") -> None:
        """Draw the state of the predictor and send it to the browser.

        Args:
            status_text: Sentence below the image.
            error_message: Reason why the last action was rejected; empty if it was not.
        """
        image = draw_annotations(self._predictor)
        height, width = self._predictor.mask.shape
        # Clicks arrive in pixels of the full image, whatever the display size is.
        scale = min(1.0, _MAX_DISPLAY_SIDE / max(height, width))
        if scale < 1.0:
            display_size = round(width * scale), round(height * scale)
            image = cv2.resize(image, display_size, interpolation=cv2.INTER_AREA)
        # hold_sync sends both traits in one message.
        with self.hold_sync():
            self.display_jpeg = encode_jpeg(image)
            self.view_state = {
                "status_text": status_text,
                "error_message": error_message,
                "image_height": height,
                "image_width": width,
                "num_responses": self.view_state.get("num_responses", -1) + 1,
            }


def draw_annotations(predictor: Predictor) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the finished masks, the current mask and its clicks on the image.

    Args:
        predictor: Predictor with an image.

    Returns:
        [h w 3] RGB of the same size as the image.

    Raises:
        ValueError: The predictor has no image.
    """
    if predictor.session is None:
        raise ValueError("there is no image yet; call set_image first")
    height, width = predictor.mask.shape
    # The session holds a batch of one image, padded at the bottom and the right.
    image = np.asarray(predictor.session.image)[0, :height, :width]
    for mask in predictor.finished:
        image = overlay.draw_overlay(image, mask, color=FINISHED_COLOR)
    return overlay.draw_overlay(image, predictor.mask, predictor.clicks)

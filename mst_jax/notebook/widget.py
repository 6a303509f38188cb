"""Clicks inside a notebook: Colab, JupyterLab, VS Code; no server, no port."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import traitlets
from jaxtyping import UInt8

from mst_jax.data.formats.images import encode_jpeg
from mst_jax.inference import overlay
from mst_jax.inference.predictor import Predictor

try:
    import anywidget
except ImportError:
    raise ImportError(
        "clicking in a notebook needs anywidget, which is not installed; "
        "pip install 'mst_jax[notebook]'"
    ) from None

FINISHED = (150, 150, 150)
"""RGB of the objects that are finished."""

_STATIC = Path(__file__).parent
_LONGEST = 1280  # pixels; a larger picture is sent smaller, and clicked as it is


class ClickWidget(anywidget.AnyWidget):
    """The picture of a predictor, to be clicked: left = the object, right or Shift = not.

    It shows what the predictor knows and asks it at each click; `predictor.mask` and
    `predictor.finished` are the results. What the predictor refuses is said below the
    picture, and nothing has changed.

    Attributes:
        shown: the picture with masks and clicks as JPEG.
        state: what is said below it: `text`, `error`, and `height`, `width` in pixels of
            the picture as it is; `answered` counts messages.
    """

    _esm = _STATIC / "widget.js"
    _css = _STATIC / "widget.css"
    shown = traitlets.Bytes().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, predictor: Predictor) -> None:
        """Compiles the model, so that no click waits for it, and shows the picture.

        Args:
            predictor: with a picture; it may be used beside the widget.

        Raises:
            ValueError: the predictor has no picture.
        """
        predictor.predict([[0, 0]], [1])
        super().__init__()
        self._predictor = predictor
        self._actions: dict[str, Callable[[], object]] = {
            "undo": predictor.undo,
            "redo": predictor.redo,
            "reset": predictor.reset,
            "finish": predictor.finish,
        }
        self.on_msg(self._answer)
        self._show("Click on an object.")

    def _answer(self, _: object, message: Mapping, __: object) -> None:
        """Does what the browser asks: {"do": "undo"}, or a click with x and y in pixels."""
        begin, error = time.perf_counter(), ""
        try:
            if message["do"] == "click":
                self._predictor.click(message["y"], message["x"], message["positive"])
            else:
                self._actions[message["do"]]()
        except (ValueError, RuntimeError) as reason:  # JAX's own are RuntimeErrors
            error = str(reason).partition("\n")[0]
        milliseconds = 1000 * (time.perf_counter() - begin)
        text = f"clicks: {len(self._predictor.clicks)}, "
        text += f"mask: {self._predictor.mask.mean():.1%} of the picture, "
        self._show(f"{text}{milliseconds:.0f} ms", error)

    def _show(self, text: str, error: str = "") -> None:
        """Draws the predictor's session anew and sends it to the browser."""
        picture = draw(self._predictor)
        height, width = self._predictor.mask.shape
        scale = min(1.0, _LONGEST / max(height, width))
        if scale < 1.0:
            small = round(width * scale), round(height * scale)
            picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        with self.hold_sync():
            self.shown = encode_jpeg(picture)
            self.state = {
                "text": text,
                "error": error,
                "height": height,
                "width": width,
                "answered": self.state.get("answered", -1) + 1,
            }


def draw(predictor: Predictor) -> UInt8[np.ndarray, "h w 3"]:
    """Draws a predictor's picture with its finished masks, its mask and its clicks."""
    height, width = predictor.mask.shape
    picture = np.asarray(predictor.session.image)[0, :height, :width]
    for mask in predictor.finished:
        picture = overlay.draw(picture, mask, color=FINISHED)
    return overlay.draw(picture, predictor.mask, predictor.clicks)

"""Predict masks from clicks on one image: NumPy arrays in and out, with undo and redo."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, SupportsFloat

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from mst_jax.inference import sam_interface
from mst_jax.inference.click_session import (
    Click,
    ClickSession,
    SessionState,
    initial_state,
    to_click_slots,
)
from mst_jax.inference.compiled_prediction import predict_prob
from mst_jax.inference.device_placement import parameter_sharding
from mst_jax.inference.selected_tokens import TokenBoxes, token_boxes_of_session
from mst_jax.interaction.inference_options import ZoomOptions, interactive_zoom_of
from mst_jax.interaction.padding import pad_to, padded_size
from mst_jax.interaction.zoom_predict import ClickModelFn, as_pytree


class Predictor:
    """Predict masks of the objects of one image from the clicks of one user.

    A mask consists of the pixels whose probability is above 0.49. The evaluation uses the
    same threshold, so the same clicks give the same masks there if the zoom options are
    the same. At the first click, one program is compiled for each model, zoom options and
    size of image (rounded up, see `interaction.padding`); all predictors share it. It has
    slots for 24 clicks on an object. The 25th, 49th, 97th ... click doubles the slots, and
    another program is compiled. A model that is a pytree can be replaced by one with
    other parameters without a new compilation.

    All coordinates are pixels; the center of the first pixel is (0, 0). Methods raise
    ValueError with one sentence for invalid input, and then nothing has changed.

    Attributes:
        session: Image, current state, and states for undo and redo, immutable; None
            before `set_image`.
    """

    def __init__(self, model: ClickModelFn, *, zoom: ZoomOptions | None = None) -> None:
        """Create a predictor without an image.

        Args:
            model: `(image [b h w 3] 0 to 1, clicks, prev_mask [b h w]) -> logits
                [b h w]`, such as the result of `mst_jax.load`.
            zoom: Zoom and test-time augmentation; None = as the model was trained (the
                block `zoom` of its config), 448 pixels with flip for a plain function,
                and the region of interest grows up to two times where it cuts the mask.
                With `size=None` the sides of the image must suit the network.
        """
        self.session: ClickSession | None = None
        self._model = model
        self._zoom = interactive_zoom_of(model) if zoom is None else zoom
        self._sharding = parameter_sharding(model)
        self._predict_prob = functools.partial(
            predict_prob, as_pytree(model), zoom=self._zoom
        )

    @property
    def clicks(self) -> Float[np.ndarray, "n 3"]:
        """Clicks on the current object: row, column and 1 = positive, 0 = negative."""
        return np.array(self._open_session().current.clicks, float).reshape(-1, 3)

    @property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """Mask of the current object; empty before the first click."""
        return self._open_session().mask

    @property
    def prob(self) -> Float[np.ndarray, "h w"]:
        """Probability of the current object, 0 to 1; 0 outside the region of interest."""
        return self._open_session().prob

    @property
    def finished(self) -> tuple[Bool[np.ndarray, "h w"], ...]:
        """Masks of the finished objects of this image, in order, read-only."""
        return self._open_session().current.finished

    def set_image(self, image: Any, image_format: str = "RGB") -> None:
        """Open an image; the state of the previous image is discarded.

        Args:
            image: [h w 3] uint8; it may be changed afterwards. A Pillow image in
                mode RGB is read without EXIF rotation.
            image_format: "RGB" or "BGR" (OpenCV), order of the channels.

        Raises:
            ValueError: Another shape, dtype or format.
        """
        pixels = sam_interface.parse_image(image, image_format)
        # Pad to one of a few sizes, so that images of similar size share a program.
        height, width = pixels.shape[:2]
        size = padded_size(height, width, zoom_size=self._zoom.size)
        # `pad_to` copies: JAX may read the memory of a NumPy array later.
        device_image = jax.device_put(pad_to(pixels, size), self._sharding)
        self.session = ClickSession.start(device_image, height, width)

    def click(
        self,
        row: SupportsFloat,
        column: SupportsFloat,
        positive: Any = True,
    ) -> Bool[np.ndarray, "h w"]:
        """Add a click on the current object and return its new mask.

        Args:
            row: Row of the click in pixels, 0 <= row < height.
            column: Column of the click in pixels, 0 <= column < width.
            positive: True or 1 = on the object, False or 0 = not on it.

        Raises:
            ValueError: The click lies outside the image, or `positive` is anything else.
        """
        session = self._open_session()
        click = session.make_click(row, column, positive)
        self.session = session.push_state(self._predict(session.current, (click,)))
        return self.mask

    def undo(self) -> Bool[np.ndarray, "h w"]:
        """Undo the last click, `reset`, `finish` or `load_mask` exactly.

        Returns:
            The previous mask; the current one if there is nothing to undo.
        """
        self.session = self._open_session().undo()
        return self.mask

    def redo(self) -> Bool[np.ndarray, "h w"]:
        """Redo what was undone last; a new action clears the states for redo.

        Returns:
            The restored mask; the current one if there is nothing to redo.
        """
        self.session = self._open_session().redo()
        return self.mask

    def reset(self) -> None:
        """Remove the clicks on the current object; finished objects stay."""
        session = self._open_session()
        state = initial_state(session.image, session.current.finished)
        self.session = session.push_state(state)

    def finish(self) -> Bool[np.ndarray, "h w"]:
        """Append the mask to `finished` and start the next object of the image.

        Returns:
            The finished mask, read-only.

        Raises:
            ValueError: The mask is empty.
        """
        session, mask = self._open_session(), self.mask
        if not mask.any():
            raise ValueError(
                "the mask is empty, so there is no object to finish; click on one"
            )
        # The mask is shared by all later states: nobody may change it.
        mask.flags.writeable = False
        finished = (*session.current.finished, mask)
        self.session = session.push_state(initial_state(session.image, finished))
        return mask

    def load_mask(self, mask: np.ndarray) -> Bool[np.ndarray, "h w"]:
        """Replace the clicks on the current object by an existing mask.

        The next click corrects it: it is the previous mask of that prediction.

        Args:
            mask: [h w] True on the object, or one number there and 0 elsewhere.

        Returns:
            The mask as bool.

        Raises:
            ValueError: A mask of another size, without a pixel, or with more than two
                values, such as a probability.
        """
        session = self._open_session()
        prob = session.check_mask(mask).astype(np.float32)
        self.session = session.push_state(session.state_from_prob(prob))
        return self.mask

    def predict(
        self,
        point_coords: Sequence | np.ndarray | None = None,
        point_labels: Sequence | np.ndarray | None = None,
        box: Sequence | np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> sam_interface.SamOutput:
        """Predict a mask through the interface of Segment Anything.

        The clicks, masks and undo states of the other methods are neither used nor
        changed. Points alone are clicked one after the other, as `click` does; with a box
        or a mask there is one prediction from all points.

        Args:
            point_coords: [n 2] x and y (column and row).
            point_labels: [n] 1 = on the object, 0 = not on it.
            box: [4] x0, y0, x1, y1 of the object, clipped to the image. The network sees
                the region around it, and its center is a positive click unless there is a
                positive point. The mask may end outside the box.
            mask_input: [1 h' w'] or [h' w'] logits of an earlier prediction, of any size,
                or a mask, bool: the previous mask.
            multimask_output: Accepted for compatibility; there is always one mask.
            return_logits: Whether the first array is the logits instead of the mask.
            normalize_coords: False = coordinates are fractions of width and height, as in
                SAM 2.

        Returns:
            [1 h w] mask; [1] its expected IoU under the predicted probabilities, 0 to 1
            (0 for an empty mask), not calibrated; [1 h w] finite logits, which can be
            passed as `mask_input`. The mask is where a logit is above -0.04.

        Raises:
            ValueError: There is no prompt, or an argument has another shape or values.
        """
        session = self._open_session()
        clicks, prob, roi = sam_interface.parse_prompt(
            session,
            point_coords=point_coords,
            point_labels=point_labels,
            box=box,
            mask_input=mask_input,
            normalize_coords=normalize_coords,
            min_side=self._zoom.min_side,
        )
        state = initial_state(session.image)
        if prob is not None:
            state = session.state_from_prob(prob)
        # Points alone: one prediction after each, as a user clicks.
        is_single = prob is not None or roi is not None
        for new_clicks in (clicks,) if is_single else ((click,) for click in clicks):
            state = self._predict(state, new_clicks, box_roi=roi)
        return sam_interface.format_output(
            session.push_state(state).prob, return_logits=return_logits
        )

    def selected_tokens(self) -> tuple[tuple[TokenBoxes, TokenBoxes], ...]:
        """Find the tokens that the model selects, given the current clicks and mask.

        Returns:
            Fine and coarse tokens of each token selection, in the order of the blocks;
            boxes are in pixels of the image. `inference.selected_tokens.draw_token_boxes`
            draws them.

        Raises:
            ValueError: The model has no token selection, or there is no click yet.
        """
        return token_boxes_of_session(
            self._model, self._open_session(), zoom=self._zoom
        )

    def _open_session(self) -> ClickSession:
        """Return the session; ValueError before the first image."""
        if self.session is None:
            raise ValueError("there is no image yet; call set_image first")
        return self.session

    def _predict(
        self,
        state: SessionState,
        clicks: tuple[Click, ...],
        *,
        box_roi: Int[np.ndarray, " 4"] | None = None,
    ) -> SessionState:
        """Return the state after one prediction with additional clicks.

        The region of interest is that of a box, or follows from mask and clicks.
        """
        session = self._open_session()
        clicks = (*state.clicks, *clicks)
        size = np.array([[session.height, session.width]], np.int32)
        is_given = box_roi is not None
        roi = jax.device_put(box_roi[None], self._sharding) if is_given else state.roi
        prob, roi = self._predict_prob(
            *(session.image, size, to_click_slots(clicks), state.prob, roi),
            is_roi_given=is_given,
        )
        return dataclasses.replace(state, clicks=clicks, prob=prob, roi=roi)

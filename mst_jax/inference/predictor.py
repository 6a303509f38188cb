"""Numpy in, numpy out: open a picture, click, undo, get masks."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.inference import sam_interface
from mst_jax.inference.click_session import Click, Moment, Session, in_slots, untouched
from mst_jax.inference.placement import home
from mst_jax.inference.selected_tokens import Cells, both_scales, find_choices_once
from mst_jax.interaction.inference_options import (
    AS_TRAINED,
    AsTrained,
    choose_view,
    config_of,
)
from mst_jax.interaction.padding import pad, padded_size
from mst_jax.interaction.zoom_predict import Model, as_tree, predict
from mst_jax.models.load import TrainedModel
from mst_jax.structs import Clicks


class Predictor:
    """One picture, one user: clicks become masks.

    A mask is where the probability is above 0.49, as in the evaluation; the same clicks
    give the same masks as there, if the view is the same. One program is compiled for
    each model, view and size of picture (rounded up, see `interaction.padding`), at the
    first click; it serves all predictors. Clicks in any number need no other program,
    except that the 25th, 49th, 97th ... on one object doubles the slots. A model that JAX
    knows as a tree may be replaced by one with other parameters without compiling.

    All coordinates are pixels; the centre of the first pixel is (0, 0). Methods raise
    ValueError with one sentence for bad input, and then nothing has changed.

    Attributes:
        session: all that was done to the picture, frozen; None before `set_image`.
    """

    def __init__(
        self,
        model: Model,
        *,
        zoom: int | AsTrained | None = AS_TRAINED,
        zoom_min_side: int | AsTrained = AS_TRAINED,
        mirror: bool | AsTrained = AS_TRAINED,
    ) -> None:
        """Takes the model, and how it shall look at pictures.

        Args:
            model: `(image [b h w 3] 0 to 1, clicks, previous [b h w]) -> logits [b h w]`.
            zoom: side in pixels of the square that the network sees; None: it sees the
                picture as it is, whose sides must then suit the network. As trained: the
                model's `config.evaluation`; 448, 200 and True for a plain function.
            zoom_min_side: least side of what is zoomed in on, in pixels.
            mirror: averages with the mirrored picture.
        """
        view = choose_view(
            config_of(model), zoom=zoom, zoom_min_side=zoom_min_side, mirror=mirror
        )
        self.session: Session | None = None
        self._model, self._view, self._zoom = model, view, view["zoom"]
        self._home = home(model)
        self._ask = functools.partial(_ask, as_tree(model), **view)

    @property
    def clicks(self) -> Float[np.ndarray, "n 3"]:
        """Clicks on the present object: row, column and 1 = positive or 0 = negative."""
        return np.array(self._opened().present.clicks, float).reshape(-1, 3)

    @property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """Mask of the present object; nothing is True before the first click."""
        return self._opened().mask

    @property
    def prob(self) -> Float[np.ndarray, "h w"]:
        """Probability of the present object, 0 to 1; 0 outside what was zoomed in on."""
        return self._opened().prob

    @property
    def finished(self) -> tuple[Bool[np.ndarray, "h w"], ...]:
        """Masks of the finished objects of this picture, in order, read-only."""
        return self._opened().present.finished

    def set_image(self, image: np.ndarray) -> None:
        """Opens a picture and forgets the one before with all that was done to it.

        Args:
            image: [h w 3] RGB, uint8.
        """
        shape, kind = np.shape(image), getattr(image, "dtype", type(image).__name__)
        if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(
                f"image is {kind} {list(shape)}, expected uint8 [h w 3]; "
                "read it as RGB from 0 to 255"
            )
        height, width = shape[:2]
        padded = pad(np.asarray(image), padded_size(height, width, zoom=self._zoom))
        image = jax.device_put(padded, self._home)
        self.session = Session.start(image, height, width)

    def click(
        self, row: SupportsFloat, column: SupportsFloat, positive: bool = True
    ) -> Bool[np.ndarray, "h w"]:
        """Adds a click on the present object and returns its new mask.

        Args:
            row: of the click, 0 <= row < height.
            column: of the click, 0 <= column < width.
            positive: True = the object is here, False = it is not.
        """
        session = self._opened()
        click = session.click_at(row, column, positive)
        self.session = session.then(self._after(session.present, (click,)))
        return self.mask

    def undo(self) -> Bool[np.ndarray, "h w"]:
        """Takes the last click, `reset`, `finish` or `load_mask` back, exactly.

        Returns:
            The mask as it was; the present one if there is nothing to take back.
        """
        self.session = self._opened().undo()
        return self.mask

    def redo(self) -> Bool[np.ndarray, "h w"]:
        """Does again what was taken back last; a new action forgets what that was.

        Returns:
            The mask; the present one if nothing was taken back.
        """
        self.session = self._opened().redo()
        return self.mask

    def reset(self) -> None:
        """Begins the present object anew; finished objects stay."""
        session = self._opened()
        fresh = untouched(session.image, session.present.finished)
        self.session = session.then(fresh)

    def finish(self) -> Bool[np.ndarray, "h w"]:
        """Keeps the mask among `finished` and begins the next object of the picture.

        Returns:
            The finished mask, read-only.

        Raises:
            ValueError: the mask is empty.
        """
        session, mask = self._opened(), self.mask
        if not mask.any():
            raise ValueError(
                "the mask is empty, so no object is finished; click on one"
            )
        mask.flags.writeable = False
        finished = (*session.present.finished, mask)
        self.session = session.then(untouched(session.image, finished))
        return mask

    def load_mask(self, mask: np.ndarray) -> Bool[np.ndarray, "h w"]:
        """Takes an existing mask for the present object, in place of its clicks.

        The next click corrects it: the mask is what the network saw last.

        Args:
            mask: [h w] True or not 0 on the object.

        Returns:
            The mask as it was taken.

        Raises:
            ValueError: a mask of another size, with no pixel, or with NaN.
        """
        session = self._opened()
        prob = session.open_mask(mask).astype(np.float32)
        self.session = session.then(self._with_prob(prob))
        return self.mask

    def predict(
        self,
        point_coords: Sequence | np.ndarray,
        point_labels: Sequence | np.ndarray,
        mask_input: np.ndarray | None = None,
    ) -> sam_interface.Answer:
        """Answers in the shape that users of Segment Anything know.

        The clicks, masks and undo of the other methods are neither used nor changed.

        Args:
            point_coords: [n 2] x and y (column and row), at least one point.
            point_labels: [n] 1 on the object, 0 not on it.
            mask_input: [1 h' w'] or [h' w'] logits of an earlier answer, of any size.
                Without it the points are clicked one after the other, as `click` does;
                with it there is one prediction that knows all points and this mask.

        Returns:
            The mask; its expected IoU, 0 to 1, were the probabilities right (0 for an
            empty mask): the model's own opinion, not calibrated; finite logits, which
            may be given back as `mask_input`.
        """
        session = self._opened()
        clicks = sam_interface.open_points(point_coords, point_labels, session)
        if mask_input is None:
            moment = untouched(session.image)
            for click in clicks:
                moment = self._after(moment, (click,))
        else:
            size = (session.height, session.width)
            moment = self._with_prob(sam_interface.open_mask_input(mask_input, *size))
            moment = self._after(moment, clicks)
        return sam_interface.answer(session.then(moment).prob)

    def chosen(self) -> tuple[tuple[Cells, Cells], ...]:
        """Finds the tokens that the model looks at now, given clicks and mask.

        Returns:
            Fine and coarse tokens of each token selection, in the order of the blocks;
            boxes are in pixels of the picture. `inference.selected_tokens.draw_cells` draws them.

        Raises:
            ValueError: the model has no token selection, or there is no click yet.
        """
        session = self._opened()
        moment = session.present
        if not moment.clicks:
            raise ValueError(
                "there is no click yet, so no token is chosen; click first"
            )
        if not isinstance(self._model, TrainedModel):
            raise ValueError("only a model of `load` tells which tokens it chooses")
        view = {name: self._view[name] for name in ("zoom", "zoom_min_side")}
        choices, region = find_choices_once(
            self._model,
            session.image.astype(jnp.float32) / 255.0,
            np.array([[session.height, session.width]], np.int32),
            in_slots(moment.clicks),
            moment.prob,
            moment.region,
            **view,
        )
        if not choices:
            raise ValueError(
                "this model chooses no tokens; take one of the recipe mst or mst_adaptive"
            )
        whole = session.height, session.width
        choices, region = jax.tree.map(lambda leaf: leaf[0], (choices, region))
        return tuple(
            both_scales(choice, np.asarray(region), whole=whole, zoom=self._zoom)
            for choice in choices
        )

    def _opened(self) -> Session:
        """The session; ValueError before the first picture."""
        if self.session is None:
            raise ValueError("there is no picture yet; call set_image first")
        return self.session

    def _after(self, moment: Moment, clicks: tuple[Click, ...]) -> Moment:
        """The moment after one prediction that knows these clicks besides."""
        session = self._opened()
        clicks = (*moment.clicks, *clicks)
        size = np.array([[session.height, session.width]], np.int32)
        known = (session.image, size, in_slots(clicks))
        prob, region = self._ask(*known, moment.prob, moment.region)
        return dataclasses.replace(moment, clicks=clicks, prob=prob, region=region)

    def _with_prob(self, prob: Float[np.ndarray, "h w"]) -> Moment:
        """A moment without clicks whose last prediction, of everything, was `prob`."""
        session = self._opened()
        region = np.array([[0, session.height - 1, 0, session.width - 1]], np.int32)
        return Moment(
            clicks=(),
            prob=jax.device_put(pad(prob, session.image.shape[1:3]), self._home),
            region=jax.device_put(region, self._home),
            finished=session.present.finished,
        )


@functools.partial(jax.jit, static_argnames=("zoom", "zoom_min_side", "mirror"))
def _ask(
    model: Model,
    image: UInt8[Array, "b h w 3"],
    size: Int[Array, "b 2"],
    clicks: Clicks,
    prob: Float[Array, "b h w"],
    region: Int[Array, "b 4"],
    **settings: int | bool | None,
) -> tuple[Float[Array, "b h w"], Int[Array, "b 4"]]:
    """Compiles `predict` for pictures as they are kept, in 8 bits."""
    image = image.astype(jnp.float32) / 255.0
    return predict(model, image, size, clicks, prob, region, **settings)

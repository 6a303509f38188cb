"""The model as all sessions share it: its programs compiled, its passes shared."""

import functools
import threading
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.demo import programs
from mst_jax.demo.batcher import BATCHES, Batcher
from mst_jax.inference.chosen import Cells, to_cells
from mst_jax.inference.predictor import home
from mst_jax.inference.session import Click, in_slots
from mst_jax.interaction.bucket import pad, padded_size
from mst_jax.interaction.predict import as_tree
from mst_jax.interaction.view import AS_TRAINED, AsTrained, choose_view
from mst_jax.models.load import TrainedModel

CHOOSING = ("mst", "mst_adaptive")
"""Recipes whose models choose tokens."""


class Scene(NamedTuple):
    """A picture on the device.

    Attributes:
        image: [1 h w 3] RGB, padded right and below.
        height: of the picture without padding.
        width: of the picture without padding.
    """

    image: UInt8[Array, "1 h w 3"]
    height: int
    width: int


class Shown(NamedTuple):
    """An object as it stands.

    Attributes:
        prob: [1 h w] on the device, 0 on padding.
        region: [1 4] on the device, what the network saw last.
        mask: [height width] without padding.
    """

    prob: Float[Array, "1 h w"]
    region: Int[Array, "1 4"]
    mask: Bool[np.ndarray, "height width"]


class Seen(NamedTuple):
    """What the network said of what it saw: with the picture's size, all of a mask.

    Attributes:
        patch: [i j] probability.
        region: [4] part of the picture that it saw; -1 without zoom.
    """

    patch: Float[np.ndarray, "i j"]
    region: Int[np.ndarray, " 4"]


class Engine:
    """Answers clicks as `mst_jax.Predictor` does, of many users at once.

    Attributes:
        name: of the model.
        has_tokens: does the model choose tokens?
        compiled: names of the programs that are ready.
    """

    def __init__(
        self,
        model: TrainedModel,
        *,
        zoom: int | AsTrained | None = AS_TRAINED,
        mirror: bool | AsTrained = AS_TRAINED,
    ) -> None:
        """Takes the model, and how it shall look at pictures; see `mst_jax.Predictor`.

        Raises:
            ValueError: a view that does not suit the model.
        """
        view = choose_view(model.config, zoom=zoom, mirror=mirror)
        recipe = model.config["model"]
        self.name = " ".join(
            str(recipe[key]) for key in ("name", "size") if key in recipe
        )
        self.has_tokens = recipe["name"] in CHOOSING
        self.compiled: list[str] = []
        self._wanted: set[str] = set()
        self._model, self._zoom, self._home = model, view["zoom"], home(model)
        mirror = view.pop("mirror")
        self._frame = functools.partial(programs.frame, **view)
        self._look = functools.partial(programs.look, as_tree(model), mirror=mirror)
        self._batcher = Batcher(self._look)
        self._compiling = threading.Lock()
        if self._zoom is not None:
            self._check(self._zoom, self._zoom)

    def close(self) -> None:
        """Ends the thread that asks the network."""
        self._batcher.close()

    @property
    def missing(self) -> int:
        """Number of programs that were asked for and are not ready."""
        return len(self._wanted - set(self.compiled))

    def suits(self, height: int, width: int) -> bool:
        """Can the model look at pictures of this size? With zoom it always can."""
        if self._zoom is not None:
            return True
        try:
            self._check(height, width)
        except ValueError:
            return False
        return True

    def expect(self, *sizes: tuple[int, int]) -> None:
        """Counts what pictures of these sizes need among the `missing`."""
        for size in sizes:
            self._wanted |= self._programs(size).keys()

    def prepare(self, *sizes: tuple[int, int]) -> None:
        """Compiles all that pictures of these heights and widths need, if it is not."""
        self.expect(*sizes)
        for size in sizes:
            programs = self._programs(size)
            if programs.keys() <= set(self.compiled):
                continue
            # One size after the other, so that others need not wait for all of them.
            with self._compiling:
                for name, compile in programs.items():
                    if name not in self.compiled:
                        compile()
                        self.compiled.append(name)

    def open(self, pixels: UInt8[np.ndarray, "h w 3"]) -> Scene:
        """Puts a picture on the device."""
        height, width = pixels.shape[:2]
        padded = pad(pixels, padded_size(height, width, zoom=self._zoom))
        return Scene(self._put(padded), height, width)

    def blank(self, scene: Scene) -> Shown:
        """An object before its first click: no mask, nothing seen yet."""
        prob = np.zeros(scene.image.shape[:3], np.float32)
        mask = np.zeros((scene.height, scene.width), bool)
        return Shown(self._put(prob), self._put(np.full((1, 4), -1, np.int32)), mask)

    def loaded(self, scene: Scene, mask: Bool[np.ndarray, "h w"]) -> Shown:
        """An object whose mask comes from elsewhere: clicks correct it."""
        prob = pad(mask.astype(np.float32), scene.image.shape[1:3])
        region = np.array([[0, scene.height - 1, 0, scene.width - 1]], np.int32)
        return Shown(self._put(prob), self._put(region), mask)

    def ask(self, scene: Scene, clicks: tuple[Click, ...], shown: Shown) -> Seen:
        """What the network says, given all clicks and what was shown before the last.

        Other users' clicks of this moment share the pass.
        """
        framed, region = self._framed(scene, clicks, shown)
        patch = self._batcher.ask(framed)
        return Seen(patch, np.asarray(region)[0])

    def show(self, scene: Scene, seen: Seen) -> Shown:
        """Puts what was seen back into the picture."""
        region = self._put(seen.region[None])
        shape = scene.image.shape[1:3]
        prob, mask = programs.put_back(
            self._put(seen.patch[None]), region, shape=shape, zoom=self._zoom
        )
        return Shown(prob, region, np.asarray(mask)[0, : scene.height, : scene.width])

    def tokens(
        self, scene: Scene, clicks: tuple[Click, ...], shown: Shown
    ) -> tuple[Cells, Cells]:
        """Fine and coarse tokens that the last token selection chooses now.

        The model must choose tokens, and there must be a click.
        """
        framed, region = self._framed(scene, clicks, shown)
        last = programs.choose(self._model, framed)[-1]
        region = np.asarray(region)[0]
        if self._zoom is None:
            region = np.array([0, scene.height - 1, 0, scene.width - 1])
        seen = framed.layers.shape[1:3]
        fine, coarse = (
            to_cells(jax.tree.map(lambda leaf: leaf[0], scale), region, seen=seen)
            for scale in (last.fine, last.coarse)
        )
        return fine, coarse

    def _framed(
        self, scene: Scene, clicks: tuple[Click, ...], shown: Shown
    ) -> tuple[programs.Framed, Int[Array, "1 4"]]:
        size = np.array([[scene.height, scene.width]], np.int32)
        return self._frame(
            scene.image, size, in_slots(clicks), shown.prob, shown.region
        )

    def _put(self, x: np.ndarray) -> Array:
        return jax.device_put(x, self._home)

    def _blank_frame(self, height: int, width: int) -> programs.Framed:
        scene = self.open(np.zeros((height, width, 3), np.uint8))
        return self._framed(scene, (Click(0.0, 0.0, True),), self.blank(scene))[0]

    def _check(self, height: int, width: int) -> None:
        """Traces the network; ValueError if it does not take what it would see."""
        framed = jax.eval_shape(lambda: self._blank_frame(height, width))
        jax.eval_shape(self._look, (framed,))

    def _programs(self, size: tuple[int, int]) -> dict[str, Callable[[], None]]:
        """What pictures of a size need: names, and what compiles each."""
        size = padded_size(*size, zoom=self._zoom)
        # With zoom the network sees all pictures at one size.
        seen = "" if self._zoom else " of {}x{}".format(*size)
        found = {
            f"{batch} at once{seen}": functools.partial(self._compile_look, batch, size)
            for batch in BATCHES
        }
        if self.has_tokens:
            found[f"chosen tokens{seen}"] = functools.partial(
                self._compile_choose, size
            )
        framing = "pictures up to {}x{}".format(*size)
        return found | {framing: functools.partial(self._compile_framing, size)}

    def _compile_look(self, batch: int, size: tuple[int, int]) -> None:
        jax.block_until_ready(self._look((self._blank_frame(*size),) * batch))

    def _compile_choose(self, size: tuple[int, int]) -> None:
        jax.block_until_ready(programs.choose(self._model, self._blank_frame(*size)))

    def _compile_framing(self, size: tuple[int, int]) -> None:
        scene = self.open(np.zeros((*size, 3), np.uint8))
        clicks = (Click(0.0, 0.0, True),)
        framed, region = self._framed(scene, clicks, self.blank(scene))
        patch = np.zeros(framed.layers.shape[1:3], np.float32)
        shown = self.show(scene, Seen(patch, np.asarray(region)[0]))
        jax.block_until_ready(self._framed(scene, clicks, shown))

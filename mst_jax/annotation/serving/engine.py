"""The model as all sessions share it: its programs compiled, its passes shared."""

import threading
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from mst_jax.annotation.serving import compiled_steps
from mst_jax.annotation.serving.micro_batcher import BATCHES, Batcher
from mst_jax.inference.click_session import Click, in_slots
from mst_jax.inference.placement import home
from mst_jax.inference.selected_tokens import Cells, both_scales
from mst_jax.interaction.inference_options import (
    AS_TRAINED,
    AsTrained,
    choose_view,
    config_of,
)
from mst_jax.interaction.padding import pad, padded_size
from mst_jax.interaction.zoom_predict import Model, as_tree

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
        model: Model,
        *,
        zoom: int | AsTrained | None = AS_TRAINED,
        zoom_min_side: int | AsTrained = AS_TRAINED,
        mirror: bool | AsTrained = AS_TRAINED,
    ) -> None:
        """Takes the model, and how it shall look at pictures; see `mst_jax.Predictor`.

        Raises:
            ValueError: a view that does not suit the model.
        """
        config = config_of(model)
        view = choose_view(
            config, zoom=zoom, zoom_min_side=zoom_min_side, mirror=mirror
        )
        recipe = config.get("model", {"name": "a function"})
        self.name = f"{recipe['name']} {recipe.get('size', '')}".strip()
        self.has_tokens = recipe["name"] in CHOOSING
        self.compiled: list[str] = []
        self._wanted: set[str] = set()
        self._model, self._zoom, self._home = model, view["zoom"], home(model)
        mirror = view.pop("mirror")
        self._frame = partial(compiled_steps.frame, **view)
        self._look = partial(compiled_steps.look, as_tree(model), mirror=mirror)
        self._compiling = defaultdict(threading.Lock)
        self._batches: dict[tuple[int, ...], list[int]] = defaultdict(list)
        self._batcher = Batcher(self._look, self._batches.__getitem__)
        if self._zoom is not None:
            self._check(self._zoom, self._zoom)

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

    def prepare(self, height: int, width: int) -> None:
        """Compiles what clicks on pictures of this size need, if it is not."""
        for name, program in self._needed((height, width)).items():
            self._compile(name, program)

    def expect(self, *sizes: tuple[int, int]) -> None:
        """Counts all that pictures of these heights and widths may use as `missing`."""
        for size in sizes:
            self._wanted |= (self._needed(size) | self._useful(size)).keys()

    def compile(self, *sizes: tuple[int, int]) -> None:
        """Compiles all that pictures of these sizes may use, the needed first."""
        self.expect(*sizes)
        for programs_of in (self._needed, self._useful):
            for size in sizes:
                for name, program in programs_of(size).items():
                    self._compile(name, program)

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
        prob, mask = compiled_steps.put_back(
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
        last = compiled_steps.choose(self._model, framed)[-1]
        last, region = jax.tree.map(lambda leaf: leaf[0], (last, region))
        whole = scene.height, scene.width
        return both_scales(last, np.asarray(region), whole=whole, zoom=self._zoom)

    def _framed(
        self, scene: Scene, clicks: tuple[Click, ...], shown: Shown
    ) -> tuple[compiled_steps.Framed, Int[Array, "1 4"]]:
        size = np.array([[scene.height, scene.width]], np.int32)
        return self._frame(
            scene.image, size, in_slots(clicks), shown.prob, shown.region
        )

    def _put(self, x: np.ndarray) -> Array:
        return jax.device_put(x, self._home)

    def _blank_frame(self, height: int, width: int) -> compiled_steps.Framed:
        scene = self.open(np.zeros((height, width, 3), np.uint8))
        return self._framed(scene, (Click(0.0, 0.0, True),), self.blank(scene))[0]

    def _check(self, height: int, width: int) -> None:
        """Traces the network; ValueError if it does not take what it would see."""
        framed = jax.eval_shape(lambda: self._blank_frame(height, width))
        jax.eval_shape(self._look, (framed,))

    def _needed(self, size: tuple[int, int]) -> dict[str, Callable[[], None]]:
        """What clicks on pictures of a size need: names, and what compiles each."""
        size = padded_size(*size, zoom=self._zoom)
        return {
            f"1 at once{self._seen(size)}": partial(self._compile_look, 1, size),
            "pictures up to {}x{}".format(*size): partial(self._compile_framing, size),
        }

    def _useful(self, size: tuple[int, int]) -> dict[str, Callable[[], None]]:
        """What makes many users faster, and shows tokens without waiting."""
        size = padded_size(*size, zoom=self._zoom)
        seen = self._seen(size)
        found = {
            f"{batch} at once{seen}": partial(self._compile_look, batch, size)
            for batch in BATCHES[1:]
        }
        if self.has_tokens:
            found[f"chosen tokens{seen}"] = partial(self._compile_choose, size)
        return found

    def _seen(self, size: tuple[int, int]) -> str:
        """With zoom the network sees all pictures at one size, so that is not named."""
        return "" if self._zoom else " of {}x{}".format(*size)

    def _compile(self, name: str, program: Callable[[], None]) -> None:
        with self._compiling[name]:
            if name not in self.compiled:
                program()
                self.compiled.append(name)

    def _compile_look(self, batch: int, size: tuple[int, int]) -> None:
        framed = self._blank_frame(*size)
        jax.block_until_ready(self._look((framed,) * batch))
        self._batches[framed.layers.shape].append(batch)

    def _compile_choose(self, size: tuple[int, int]) -> None:
        jax.block_until_ready(
            compiled_steps.choose(self._model, self._blank_frame(*size))
        )

    def _compile_framing(self, size: tuple[int, int]) -> None:
        scene = self.open(np.zeros((*size, 3), np.uint8))
        clicks = (Click(0.0, 0.0, True),)
        framed, region = self._framed(scene, clicks, self.blank(scene))
        patch = np.zeros(framed.layers.shape[1:3], np.float32)
        shown = self.show(scene, Seen(patch, np.asarray(region)[0]))
        jax.block_until_ready(self._framed(scene, clicks, shown))

"""The model that all sessions share: compilation, batching and device arrays."""

import threading
from collections import defaultdict
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, UInt8

from mst_jax.annotation.serving import compiled_steps
from mst_jax.annotation.serving.compiled_steps import (
    DeviceImage,
    MaskState,
    NetworkInput,
    RoiPrediction,
)
from mst_jax.annotation.serving.micro_batcher import BATCH_SIZES, MicroBatcher
from mst_jax.annotation.serving.program_cache import CompileFn, ProgramCache
from mst_jax.annotation.serving.region_cropper import RegionCropper
from mst_jax.annotation.serving.size_buckets import bucket_size
from mst_jax.inference.click_session import Click
from mst_jax.inference.device_placement import parameter_sharding
from mst_jax.inference.selected_tokens import TokenBoxes, token_boxes_of_scales
from mst_jax.interaction.inference_options import ZoomOptions, zoom_options_of
from mst_jax.interaction.padding import pad_to
from mst_jax.interaction.zoom_predict import ClickModelFn, as_pytree
from mst_jax.models.load import TrainedModel

TOKEN_SELECTION_MODELS = ("mst", "mst_adaptive")
"""Names of the models with token selection."""

ImageSize = tuple[int, int]
"""Height and width in pixels."""

_ANY_CLICK = (Click(0.0, 0.0, True),)  # to compile with


class InferenceEngine:
    """Answers clicks as `mst_jax.Predictor` does, for many users at the same time.

    Attributes:
        model_name: Name and size of the model.
        has_token_selection: True if the model selects tokens.
        programs: Compiled programs, and the number of those that are pending.
    """

    def __init__(self, model: ClickModelFn, *, zoom: ZoomOptions | None = None) -> None:
        """Check that the model and the zoom options fit.

        Args:
            model: Trained model or function, as for `mst_jax.Predictor`.
            zoom: Zoom options; None = those that the model was trained for.

        Raises:
            ValueError: The network does not accept crops of this size.
        """
        self._zoom = zoom_options_of(model) if zoom is None else zoom
        self._cropper = RegionCropper(self._zoom)
        model_config = _model_config(model)
        self.model_name = (
            f"{model_config['name']} {model_config.get('size', '')}".strip()
        )
        self.has_token_selection = model_config["name"] in TOKEN_SELECTION_MODELS
        self.programs = ProgramCache()
        self._model, self._sharding = model, parameter_sharding(model)
        self._forward = partial(
            compiled_steps.forward, as_pytree(model), flip_tta=self._zoom.flip_tta
        )
        # Shape of a crop -> its compiled batch sizes, written while clicks are served.
        self._batch_sizes: dict[tuple[int, ...], list[int]] = defaultdict(list)
        self._batcher = MicroBatcher(self._forward, self._batch_sizes.__getitem__)
        if self._zoom.size is not None:
            self._check_size(self._zoom.size, self._zoom.size)

    def accepts_size(self, height: int, width: int) -> bool:
        """Return True if the model accepts images of this size; with zoom always."""
        if self._zoom.size is not None:
            return True
        try:
            self._check_size(height, width)
        except ValueError:
            return False
        return True

    def compile_required(self, height: int, width: int) -> None:
        """Compile the programs that every click on an image of this size needs."""
        self.programs.compile_all(self._required_programs((height, width)))

    def request_sizes(self, *sizes: ImageSize) -> None:
        """Count all programs for images of these sizes as pending."""
        for size in sizes:
            self.programs.request(self._required_programs(size))
            self.programs.request(self._optional_programs(size))

    def compile_soon(self, height: int, width: int) -> None:
        """Compile the programs for images of this size in a thread, if it is needed."""
        size = (height, width)
        if not self.programs.are_compiled(self._required_programs(size)):
            threading.Thread(
                target=self.compile_sizes, args=[size], daemon=True
            ).start()

    def compile_sizes(self, *sizes: ImageSize) -> None:
        """Compile all programs for images of these sizes, required programs first."""
        self.request_sizes(*sizes)
        # All sizes get their required programs before any gets its optional ones.
        for programs_of in (self._required_programs, self._optional_programs):
            for size in sizes:
                self.programs.compile_all(programs_of(size))

    def load_image(self, pixels: UInt8[np.ndarray, "h w 3"]) -> DeviceImage:
        """Pad an image and copy it to the device.

        Args:
            pixels: [h w 3] RGB.
        """
        height, width = pixels.shape[:2]
        padded_image = pad_to(pixels, self._padded_size((height, width)))
        return DeviceImage(self._to_device(padded_image), height, width)

    def count_bytes(self, height: int, width: int) -> int:
        """Return the number of bytes of an image of this size and of one mask."""
        padded_height, padded_width = self._padded_size((height, width))
        # uint8 RGB, float32 probability, bool mask.
        return padded_height * padded_width * (3 + 4 + 1)

    def empty_state(self, device_image: DeviceImage) -> MaskState:
        """Return the state before the first click: no mask, no region of interest."""
        # Committed to the device like every later state: otherwise JAX would compile
        # the first click a second time.
        prob = np.zeros(device_image.image.shape[:3], np.float32)
        mask = np.zeros((device_image.height, device_image.width), bool)
        roi = np.full((1, 4), -1, np.int32)
        return MaskState(self._to_device(prob), self._to_device(roi), mask)

    def state_from_mask(
        self, device_image: DeviceImage, mask: Bool[np.ndarray, "h w"]
    ) -> MaskState:
        """Return the state of a mask from elsewhere, which clicks then correct.

        Args:
            device_image: Image of the object.
            mask: [h w] object pixels, of the size of the image.
        """
        prob = pad_to(mask.astype(np.float32), device_image.padded_size)
        # As if the network had seen the whole image.
        roi = np.array([[0, mask.shape[0] - 1, 0, mask.shape[1] - 1]], np.int32)
        return MaskState(self._to_device(prob), self._to_device(roi), mask)

    def predict(
        self, device_image: DeviceImage, clicks: tuple[Click, ...], state: MaskState
    ) -> RoiPrediction:
        """Run the network; concurrent clicks of other users share the pass.

        Args:
            device_image: Image of the object.
            clicks: All clicks on the object.
            state: State before the last click.
        """
        network_input, roi = self._cropper.crop_next(device_image, clicks, state)
        prob = self._batcher.predict(network_input)
        # Where the region cuts the mask, it grows, and the network runs again.
        for _ in range(self._cropper.max_growths):
            grown_roi = self._cropper.grow(device_image, prob, roi)
            if np.array_equal(grown_roi, roi):
                break
            roi = grown_roi
            network_input = self._cropper.crop_at(device_image, clicks, state, roi)
            prob = self._batcher.predict(network_input)
        return RoiPrediction(prob, np.asarray(roi)[0])

    def paste_prediction(
        self, device_image: DeviceImage, prediction: RoiPrediction
    ) -> MaskState:
        """Paste a prediction into the image.

        Args:
            device_image: Image of the object.
            prediction: Result of `predict`, also a stored one, of any zoom options.
        """
        height, width = device_image.height, device_image.width
        shape = device_image.padded_size
        crop_prob, roi = prediction.prob[None], prediction.roi
        # Made without zoom, it has the size of the image and no region of interest.
        has_zoom = bool(roi[0] >= 0)
        if not has_zoom:
            crop_prob = pad_to(prediction.prob, shape)
            if self._zoom.size is not None:
                roi = np.array([0, height - 1, 0, width - 1], np.int32)
        roi = self._to_device(roi[None])
        prob, mask = compiled_steps.paste_roi(
            self._to_device(crop_prob), roi, shape=shape, has_zoom=has_zoom
        )
        return MaskState(prob, roi, np.asarray(mask)[0, :height, :width])

    def token_boxes(
        self, device_image: DeviceImage, clicks: tuple[Click, ...], state: MaskState
    ) -> tuple[TokenBoxes, TokenBoxes]:
        """Return the fine and coarse tokens of the last token selection.

        Args:
            device_image: Image of the object.
            clicks: All clicks on the object, at least one.
            state: State after the last click.

        Raises:
            ValueError: The model has no token selection.
        """
        if not isinstance(self._model, TrainedModel):
            raise ValueError("the model has no token selection; load a trained MST")
        network_input, roi = self._cropper.crop_next(device_image, clicks, state)
        last_selection = compiled_steps.select_tokens(self._model, network_input)[-1]
        selection, roi = jax.tree.map(lambda leaf: leaf[0], (last_selection, roi))
        image_size = device_image.height, device_image.width
        return token_boxes_of_scales(
            selection, np.asarray(roi), image_size=image_size, zoom_size=self._zoom.size
        )

    def _to_device(self, array: np.ndarray) -> Array:
        return jax.device_put(array, self._sharding)

    def _padded_size(self, size: ImageSize) -> ImageSize:
        return bucket_size(*size, zoom_size=self._zoom.size)

    def _dummy_input(self, height: int, width: int) -> NetworkInput:
        """Return the network's input for a black image, to compile with."""
        device_image = self.load_image(np.zeros((height, width, 3), np.uint8))
        state = self.empty_state(device_image)
        return self._cropper.crop_next(device_image, _ANY_CLICK, state)[0]

    def _check_size(self, height: int, width: int) -> None:
        """Trace the network; raise ValueError if it does not accept the size."""
        # Shapes only: nothing is computed and nothing compiled.
        network_input = jax.eval_shape(lambda: self._dummy_input(height, width))
        jax.eval_shape(self._forward, (network_input,))

    def _required_programs(self, size: ImageSize) -> dict[str, CompileFn]:
        """Return the programs that clicks need: name -> function that compiles it."""
        size = self._padded_size(size)
        height, width = size
        return {
            f"batch of 1{self._crop_name(size)}": partial(self._compile_batch, 1, size),
            f"images up to {height}x{width}": partial(self._compile_image_size, size),
        }

    def _optional_programs(self, size: ImageSize) -> dict[str, CompileFn]:
        """Return the programs for larger batches and for the display of tokens."""
        size = self._padded_size(size)
        crop_name = self._crop_name(size)
        programs = {
            f"batch of {batch_size}{crop_name}": partial(
                self._compile_batch, batch_size, size
            )
            for batch_size in BATCH_SIZES[1:]
        }
        if self.has_token_selection:
            programs[f"token selection{crop_name}"] = partial(
                self._compile_token_selection, size
            )
        return programs

    def _crop_name(self, size: ImageSize) -> str:
        """Return the crop size in a program's name; with zoom all programs share it."""
        return "" if self._zoom.size else " for {}x{}".format(*size)

    def _compile_batch(self, batch_size: int, size: ImageSize) -> None:
        network_input = self._dummy_input(*size)
        jax.block_until_ready(self._forward((network_input,) * batch_size))
        # Only now may the batcher use it.
        self._batch_sizes[network_input.crop.shape].append(batch_size)

    def _compile_token_selection(self, size: ImageSize) -> None:
        if isinstance(self._model, TrainedModel):
            network_input = self._dummy_input(*size)
            jax.block_until_ready(
                compiled_steps.select_tokens(self._model, network_input)
            )

    def _compile_image_size(self, size: ImageSize) -> None:
        """Compile cropping and pasting by making a first and a second click."""
        device_image = self.load_image(np.zeros((*size, 3), np.uint8))
        state = self.empty_state(device_image)
        network_input, roi = self._cropper.crop_next(device_image, _ANY_CLICK, state)
        prob = np.zeros(network_input.crop.shape[1:3], np.float32)
        state = self.paste_prediction(
            device_image, RoiPrediction(prob, np.asarray(roi)[0])
        )
        network_input, roi = self._cropper.crop_next(device_image, _ANY_CLICK, state)
        if self._cropper.max_growths:
            roi = self._cropper.grow(device_image, prob, roi)
            network_input = self._cropper.crop_at(device_image, _ANY_CLICK, state, roi)
        jax.block_until_ready(network_input)


def _model_config(model: ClickModelFn) -> dict[str, Any]:
    """Return the block `model` of a trained model's config."""
    config: Any = model.config if isinstance(model, TrainedModel) else {}
    return dict(config.get("model", {"name": "a function"}))

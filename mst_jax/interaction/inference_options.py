"""Options of inference: zoom on the object and test-time augmentation."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict

from mst_jax import config_options

# Value of `ZoomOptions.max_growths` where a person clicks.
INTERACTIVE_MAX_GROWTHS = 2


@dataclasses.dataclass(frozen=True)
class ZoomOptions:
    """How a model sees an image: which crop, at which size, with which augmentation.

    The defaults are those of f-BRS, RITM, SimpleClick and AdaptiveClick.

    Attributes:
        size: Side in pixels of the square crop that the network sees; None = no zoom: the
            network sees the image unchanged.
        min_side: Minimum height and width of the region of interest, in pixels.
        flip_tta: Average the logits with those of the horizontally flipped crop
            (test-time augmentation).
        drop_outside: Hide clicks outside the region of interest from the network, as
            MST's released program does.
        max_growths: Maximum number of times that the region of interest grows and the
            network runs again after a click, because the mask is cut off at its border;
            see `zoom.grow_roi`. Published programs have 0.
    """

    size: int | None = 448
    min_side: int = 200
    flip_tta: bool = True
    drop_outside: bool = False
    max_growths: int = 0

    def __post_init__(self) -> None:
        for name in ("size", "min_side"):
            value = getattr(self, name)
            is_absent = name == "size" and value is None
            if not (is_absent or (type(value) is int and value >= 1)):
                raise ValueError(
                    f"zoom {name} is {value!r}, expected a whole number of pixels from 1"
                )
        if not (type(self.max_growths) is int and self.max_growths >= 0):
            raise ValueError(
                f"zoom max_growths is {self.max_growths!r}, expected a whole number from 0"
            )
        for name in ("flip_tta", "drop_outside"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(
                    f"zoom {name} is {getattr(self, name)!r}, expected True or False"
                )


def zoom_options_from_config(
    config: ConfigDict | FrozenConfigDict | Mapping[str, Any],
) -> ZoomOptions:
    """Return the options in the block `zoom` of a config; the defaults without one.

    Args:
        config: Config of a training run or of a trained model.

    Raises:
        ValueError: The block has an unknown key or a value out of range.
    """
    block: Mapping[str, Any] = config.get("zoom") or {}  # pyright: ignore[reportAssignmentType]
    return config_options.options_from_config(ZoomOptions, "config.zoom", block)


def zoom_options_of(model: Any) -> ZoomOptions:
    """Return the options that a model was trained for.

    Args:
        model: A trained model with an attribute `config`, or any callable. A callable may
            have a `config` of another kind, which is ignored.

    Returns:
        The block `zoom` of the model's config; the defaults for a plain function.
    """
    config = getattr(model, "config", None)
    has_config = isinstance(config, FrozenConfigDict)
    return zoom_options_from_config(config if has_config else {})


def interactive_zoom_of(model: Any) -> ZoomOptions:
    """Return the options of a model for a person who clicks.

    They are those that the model was trained for, and the region of interest grows where
    it cuts the mask.

    Args:
        model: A trained model with an attribute `config`, or any callable.
    """
    trained = zoom_options_of(model)
    return dataclasses.replace(trained, max_growths=INTERACTIVE_MAX_GROWTHS)


def override_zoom(
    trained: ZoomOptions,
    *,
    size: str | None = None,
    min_side: int | None = None,
    flip_tta: bool | None = None,
    max_growths: int | None = None,
) -> ZoomOptions:
    """Replace options by the flags that a user gave on the command line.

    Args:
        trained: Options that the model was trained for.
        size: Text of `--zoom`: a number of pixels or "none"; None = flag not given.
        min_side: Value of `--zoom-min-side`; None = flag not given.
        flip_tta: Value of `--flip-tta`; None = flag not given.
        max_growths: Value of `--zoom-max-growths`; None = flag not given.

    Raises:
        ValueError: A value out of range.
    """
    changes: dict[str, int | bool | None] = {}
    if size is not None:
        changes["size"] = parse_zoom_size(size)
    if min_side is not None:
        changes["min_side"] = min_side
    if flip_tta is not None:
        changes["flip_tta"] = flip_tta
    if max_growths is not None:
        changes["max_growths"] = max_growths
    return dataclasses.replace(trained, **changes)  # pyright: ignore[reportArgumentType]


def parse_zoom_size(text: str) -> int | None:
    """Parse the value of `--zoom`: a whole number of pixels from 1, or "none".

    Raises:
        ValueError: Any other text.
    """
    if text == "none":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"--zoom is {text!r}, expected a whole number from 1, or none")
    return int(text)

"""How a model looks at pictures: as a user asks, else as it was trained."""

from collections.abc import Mapping
from typing import Literal

from ml_collections import FrozenConfigDict

from mst_jax import config_options

AsTrained = Literal["as trained"]
AS_TRAINED: AsTrained = "as trained"


def config_of(model: object) -> FrozenConfigDict | Mapping[str, object]:
    """The config of a trained model; empty for a plain function.

    A callable may have a config of its own that says nothing to us.
    """
    config = getattr(model, "config", None)
    return config if isinstance(config, FrozenConfigDict) else {}


def choose_view(
    config: FrozenConfigDict | Mapping[str, object],
    *,
    zoom: int | AsTrained | None = AS_TRAINED,
    zoom_min_side: int | AsTrained = AS_TRAINED,
    mirror: bool | AsTrained = AS_TRAINED,
) -> dict[str, int | bool | None]:
    """Takes what a user asked for, else what the model was trained for.

    Args:
        config: of a trained model; its block "evaluation", if any, may hold `zoom`,
            `zoom_min_side` and `mirror`. Empty for a model without config.
        zoom: side in pixels of the square that the network sees; None: no zoom.
        zoom_min_side: least side of what is zoomed in on, in pixels.
        mirror: average with the mirrored picture?

    Returns:
        `zoom`, `zoom_min_side` and `mirror` for `interaction.zoom_predict.predict`; without
        a word from either side 448, 200 and True, as published.

    Raises:
        ValueError: a number out of range, a key that means nothing.
    """
    view = config_options.call(
        _view, "config.evaluation", **config.get("evaluation", {})
    )
    asked = {"zoom": zoom, "zoom_min_side": zoom_min_side, "mirror": mirror}
    view |= {name: value for name, value in asked.items() if value != AS_TRAINED}
    for name in ("zoom", "zoom_min_side"):
        if view[name] is not None and view[name] < 1:
            raise ValueError(f"{name} is {view[name]}, expected 1 pixel or more")
    return view


def read_zoom(text: str) -> int | AsTrained | None:
    """Reads a zoom as it stands on a command line: a number, "none", "as trained".

    Raises:
        ValueError: something else.
    """
    if text in ("none", AS_TRAINED):
        return None if text == "none" else AS_TRAINED
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"--zoom is {text!r}, expected a whole number from 1, or none")
    return int(text)


def _view(
    *, zoom: int | None = 448, zoom_min_side: int = 200, mirror: bool = True
) -> dict[str, int | bool | None]:
    return {"zoom": zoom, "zoom_min_side": zoom_min_side, "mirror": mirror}

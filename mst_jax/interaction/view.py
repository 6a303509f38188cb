"""How a model looks at pictures: what `predict` is told, from config and command line."""

from collections.abc import Mapping

from ml_collections import FrozenConfigDict

from mst_jax import settings


def choose_view(
    config: FrozenConfigDict | Mapping[str, object],
    *,
    zoom: str | None = None,
    zoom_min_side: int | None = None,
    mirror: bool | None = None,
) -> dict[str, int | bool | None]:
    """Takes what a user asked for, else what the model was trained for.

    Args:
        config: of a trained model; its block "evaluation", if any, may hold `zoom`,
            `zoom_min_side` and `mirror`.
        zoom: whole number, "none" for no zoom, None = not asked for.
        zoom_min_side: None = not asked for.
        mirror: None = not asked for.

    Returns:
        `zoom`, `zoom_min_side` and `mirror` for `interaction.predict.predict`; without
        a word from either side 448, 200 and True, as published.

    Raises:
        ValueError: a number out of range, a key that means nothing.
    """
    block = config.get("evaluation", {})
    view = settings.call(_view, "config.evaluation", **block)
    if zoom is not None:
        view["zoom"] = settings.number_or_none("--zoom", zoom)
    if zoom_min_side is not None:
        view["zoom_min_side"] = zoom_min_side
    if mirror is not None:
        view["mirror"] = mirror
    if view["zoom_min_side"] < 1:
        raise ValueError(
            f"zoom_min_side is {view['zoom_min_side']}, expected 1 or more"
        )
    return view


def _view(
    *, zoom: int | None = 448, zoom_min_side: int = 200, mirror: bool = True
) -> dict[str, int | bool | None]:
    return {"zoom": zoom, "zoom_min_side": zoom_min_side, "mirror": mirror}

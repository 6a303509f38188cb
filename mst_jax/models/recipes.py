"""How the papers train each recipe, as plain values for configs.

Sources: the released programs of SimpleClick (Liu et al., ICCV 2023), MST (Xu et al.,
arXiv 2401.04403) and AdaptiveClick (Lin et al., arXiv 2305.04276). `mst_adaptive` was
never published: it takes the losses of both and the rest from MST.
"""

_TOKENS = dict(token_contrast=1.0, token_score=1.0)
_QUERIES = dict(query_class=0.6, query_adaptive_focal=2.0, query_dice=1.5)

LOSSES = {
    "simpleclick": dict(normalized_focal=1.0),
    "mst": dict(normalized_focal=1.0, **_TOKENS),
    "adaptiveclick": _QUERIES,
    "mst_adaptive": _QUERIES | _TOKENS,
}
"""Weights. The contrast is the mended one; see `losses.token_contrast` for the released."""

_PIXELS = dict(brightness=0.25, contrast=(-0.15, 0.4), rgb_shift=10)
_SBD = dict(scale=(0.75, 1.25), symmetry="all", shift=0.03, rotate=3.0, **_PIXELS)

CHANGES = {
    "simpleclick": _SBD,
    "mst": dict(scale=(0.5, 1.5), brightness=0.3, contrast=(-0.2, 0.5), rgb_shift=20),
    "adaptiveclick": _SBD,
}
CHANGES["mst_adaptive"] = CHANGES["mst"]
"""Augmentation; of the first and the third on SBD."""

MILD_CHANGES = dict(scale=(0.75, 1.4), **_PIXELS)
"""Augmentation of these two on COCO+LVIS, and of MST there at 224 pixels."""

CLICKS = {
    "simpleclick": dict(max_first=24, max_rounds=3),
    "mst": dict(max_first=24, max_rounds=3, no_click_prob=0.01),
    "adaptiveclick": dict(max_first=24, max_rounds=3),
}
CLICKS["mst_adaptive"] = CLICKS["mst"]

OPTIMIZER = {
    "simpleclick": dict(name="adam", learning_rate=5e-5),
    # PyTorch's AdamW, which MST uses as it comes, decays whatever is learned.
    "mst": dict(
        name="adamw",
        learning_rate=5e-6,
        weight_decay=0.01,
        decay_rules=((".*", 1.0),),
    ),
    "adaptiveclick": dict(name="adam", learning_rate=5e-5),
}
OPTIMIZER["mst_adaptive"] = OPTIMIZER["mst"]

# (epochs, epochs after which the rate falls to a tenth, pictures in a batch). MST's
# number of epochs was given on the command line; its milestones ask for more than 80.
EPOCHS = {
    "simpleclick": (55, (50,), 32),
    "mst": (90, (60, 80), 60),
    "adaptiveclick": (60, (40,), 48),
}
EPOCHS["mst_adaptive"] = EPOCHS["mst"]


def training_of(model: str, *, pictures: int) -> dict[str, object]:
    """Returns the blocks of a config that depend on the recipe.

    Args:
        model: name of the recipe.
        pictures: pictures in an epoch.

    Returns:
        `batch`, `steps`, `losses`, `clicks`, `optimizer`, and `changes` for the data.

    Raises:
        ValueError: no such recipe.
    """
    if model not in LOSSES:
        raise ValueError(f"no model {model!r}; choose one of {', '.join(LOSSES)}")
    epochs, milestones, batch = EPOCHS[model]
    shares = tuple(edge / epochs for edge in milestones)
    falls = dict(decay="steps", milestones=shares, betas=(0.9, 0.999))
    return dict(
        batch=batch,
        steps=epochs * pictures // batch,
        losses=dict(LOSSES[model]),
        clicks=dict(CLICKS[model]),
        optimizer=OPTIMIZER[model] | falls,
        changes=dict(CHANGES[model]),
    )

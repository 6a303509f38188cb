"""Training hyper-parameters of the published models, as plain values for configs.

Sources: the released programs of SimpleClick (Liu et al., ICCV 2023), MST (Xu et al.,
arXiv 2401.04403) and AdaptiveClick (Lin et al., arXiv 2305.04276). `mst_adaptive` was
never published: it takes the losses of both and the rest from MST.
"""

from typing import Any, NamedTuple

from mst_jax.name_choices import list_choices

_TOKEN_LOSSES = dict(token_contrast=1.0, token_score=1.0)
_QUERY_LOSSES = dict(query_class=0.6, query_adaptive_focal=2.0, query_dice=1.5)

MODEL_LOSSES: dict[str, dict[str, float]] = {
    "simpleclick": dict(normalized_focal=1.0),
    "mst": dict(normalized_focal=1.0, **_TOKEN_LOSSES),
    "adaptiveclick": _QUERY_LOSSES,
    "mst_adaptive": _QUERY_LOSSES | _TOKEN_LOSSES,
}
"""Model -> loss -> weight. The contrast is the corrected one; see
`losses.token_contrast` for the released one."""

_COLOR_AUGMENTATION = dict(brightness=0.25, contrast=(-0.15, 0.4), rgb_shift=10)
_SBD_AUGMENTATION = dict(
    scale=(0.75, 1.25), symmetry="all", shift=0.03, rotate=3.0, **_COLOR_AUGMENTATION
)

MODEL_AUGMENTATION: dict[str, dict[str, Any]] = {
    "simpleclick": _SBD_AUGMENTATION,
    "mst": dict(scale=(0.5, 1.5), brightness=0.3, contrast=(-0.2, 0.5), rgb_shift=20),
    "adaptiveclick": _SBD_AUGMENTATION,
}
MODEL_AUGMENTATION["mst_adaptive"] = MODEL_AUGMENTATION["mst"]
"""Model -> augmentation; that of SimpleClick and AdaptiveClick is for SBD."""

COCO_LVIS_AUGMENTATION: dict[str, Any] = dict(scale=(0.75, 1.4), **_COLOR_AUGMENTATION)
"""Augmentation of SimpleClick and AdaptiveClick on COCO+LVIS, and of MST there at 224
pixels."""

MODEL_CLICKS: dict[str, dict[str, Any]] = {
    "simpleclick": dict(max_initial=24, max_rounds=3),
    "mst": dict(max_initial=24, max_rounds=3, no_click_prob=0.01),
    "adaptiveclick": dict(max_initial=24, max_rounds=3),
}
MODEL_CLICKS["mst_adaptive"] = MODEL_CLICKS["mst"]
"""Model -> simulated clicks."""

MODEL_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "simpleclick": dict(name="adam", learning_rate=5e-5),
    # PyTorch's AdamW, which MST uses unchanged, decays every parameter.
    "mst": dict(
        name="adamw",
        learning_rate=5e-6,
        weight_decay=0.01,
        weight_decay_rules=((".*", 1.0),),
    ),
    "adaptiveclick": dict(name="adam", learning_rate=5e-5),
}
MODEL_OPTIMIZERS["mst_adaptive"] = MODEL_OPTIMIZERS["mst"]
"""Model -> optimizer, without its schedule."""


class TrainingLength(NamedTuple):
    """How long a model is trained.

    Attributes:
        epochs: Number of epochs.
        milestones: Epochs after which the learning rate falls to a tenth.
        batch: Number of images in a batch.
    """

    epochs: int
    milestones: tuple[int, ...]
    batch: int


TRAINING_LENGTHS = {
    "simpleclick": TrainingLength(55, (50,), 32),
    # MST's number of epochs was a flag of its program; its milestones need over 80.
    "mst": TrainingLength(90, (60, 80), 60),
    "adaptiveclick": TrainingLength(60, (40,), 48),
}
TRAINING_LENGTHS["mst_adaptive"] = TRAINING_LENGTHS["mst"]
"""Model -> length of its training."""


def published_training(model: str, *, num_images: int) -> dict[str, Any]:
    """Return the values and blocks of a config that depend on the model.

    Args:
        model: Name of the model.
        num_images: Number of images in an epoch.

    Returns:
        `batch`, `steps`, `losses`, `clicks`, `optimizer` and `augmentation`: copies
        that may be changed.

    Raises:
        ValueError: There is no such model.
    """
    if model not in MODEL_LOSSES:
        raise ValueError(f"no model {model!r}; {list_choices(model, MODEL_LOSSES)}")
    training_length = TRAINING_LENGTHS[model]
    milestones = tuple(
        epoch / training_length.epochs for epoch in training_length.milestones
    )
    schedule = dict(schedule="steps", milestones=milestones, betas=(0.9, 0.999))
    return dict(
        batch=training_length.batch,
        steps=training_length.epochs * num_images // training_length.batch,
        losses=dict(MODEL_LOSSES[model]),
        clicks=dict(MODEL_CLICKS[model]),
        optimizer=MODEL_OPTIMIZERS[model] | schedule,
        augmentation=dict(MODEL_AUGMENTATION[model]),
    )

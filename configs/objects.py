r"""Train a small model on a folder of images with label maps.

    python -m mst_jax.prepare folder/objects --source DIR --data-dir data
    python -m mst_jax.train --config configs/objects.py:model=mst,size=small \
      --config.init_from=vit_small_patch14_dinov2.npz --workdir runs/objects

`model` is simpleclick, mst, adaptiveclick or mst_adaptive, `size` a key of VIT_SIZES.
nano and tiny start from random weights; the others expect --config.init_from.
`loss` replaces the published mask loss by one of LOSS_NAMES or a sum such as bce+dice.
`scores` trains only the token scores; `distillation` uses mst-small as teacher. Cost
and result: docs/results.md.
"""

from ml_collections import ConfigDict

from configs.defaults import add_defaults
from configs.published import MODEL_LOSSES
from mst_jax.backbones.vit_sizes import get_vit_size
from mst_jax.config_options import parse_config_argument

# These models use windowed attention; these images are small.
GLOBAL_ATTENTION = {"simpleclick": dict(window=0), "adaptiveclick": dict(window=0)}

RANDOM_INIT_SIZES = ("nano", "tiny")

# Pretrained weights need a lower learning rate than new ones; more evidence is in
# docs/experiments/learning-rates.md. At 1e-3, the rate for random weights, the IoU fell
# from 0.36 to 0.12 within 100 steps of 16 examples. The values are factors of the
# learning rate:
# - Backbone, 0.03: with 0.25, DINOv2's tokens no longer separated the objects, and an
#   IoU of 0.56 took 19,000 examples (10,600 of them with the normalized loss, some with
#   other crops) instead of 4,200. These are single runs that differ in more than this.
# - Click kernel, 0.05: it sums over 80 pixels or more. With a factor of 1, click
#   embeddings were six times as long as the tokens after 400 steps. In one run 0.05 was
#   no worse, and 0.01 was worse.
PRETRAINED_LR_RULES = (
    ("embed/hints.*", 0.05),
    ("backbone/block.*|embed/(image|positions).*", 0.03),
)

# Two selections over all tokens instead of three over 4x4 squares of tokens: 30 million
# parameters instead of 39, small enough for the repository as float16. Their layer
# scales start at 0, not at 1, so that the first outputs equal those of the plain model
# that the run starts from.
SMALL_MODELS = {
    ("mst", "small"): dict(
        insert_every=6, selection=dict(pool_size=1, layer_scale_init=0.0)
    )
}

# The contrast loss rewards distances without bound, so the tokens grow with it. From
# random weights and at this learning rate its published weight of 1 dominated the mask
# loss: IoU 0 after 100 steps. On a trained ViT-S, 0.1 and 0.01 kept token scores from
# being learned, see docs/experiments/learning-rates.md; the release 224 has 0.001.
RANDOM_INIT_LOSS_WEIGHTS = dict(token_contrast=0.1, token_score=0.5)
PRETRAINED_LOSS_WEIGHTS = dict(token_contrast=0.001, token_score=0.5)


# The normalized losses alone stayed at the constant prediction 0.5 (loss 0.35) for 1,000
# steps, because that is their minimum while masks are less than half right. Train with
# bce+dice first.
LOSS_NAMES = dict(
    normalized="normalized_focal",
    adaptive="adaptive_focal",
    bce="bce",
    dice="dice",
    distillation="distillation",
)


def make_losses(model: str, loss: str, token_weights: dict[str, float]) -> dict:
    """Replace the mask loss and the weights of the token losses of a published model.

    Args:
        model: Name of the model.
        loss: Value of `loss` in the argument of the config; "" = the published loss.
        token_weights: Weights of the token losses.

    Raises:
        ValueError: The model has no such loss.
    """
    losses = dict(MODEL_LOSSES[model])
    losses |= {name: token_weights[name] for name in token_weights if name in losses}
    if not loss:
        return losses
    if loss == "scores" and "token_score" in losses:
        return dict(token_score=1.0)
    names = loss.split("+")
    if losses.pop("normalized_focal", 0.0) and set(names) <= set(LOSS_NAMES):
        return losses | {LOSS_NAMES[name]: 1.0 for name in names}
    raise ValueError(
        f"{model} has no loss {loss!r}; leave it out, or: simpleclick and mst take "
        f"{', '.join(LOSS_NAMES)} and sums such as bce+dice; mst and mst_adaptive take "
        "scores"
    )


def get_config(argument: str = "") -> ConfigDict:
    """Return the config.

    Args:
        argument: Pairs such as "model=mst,size=small,loss=bce+dice", see above.
    """
    options = parse_config_argument(argument, model="simpleclick", size="nano", loss="")
    model, size, loss = options["model"], options["size"], options["loss"]
    is_random_init = size in RANDOM_INIT_SIZES
    trains_scores_only = loss == "scores"
    config = ConfigDict()
    if "distillation" in loss:
        config.teacher = "mst-small"
    config.batch = 8
    config.ema_decay = 0.0 if is_random_init else 0.999
    config.steps = 1500
    config.crop = 128
    config.checkpoint_every = 200
    config.keep_checkpoints = 2
    config.model = dict(
        name=model,
        size=size,
        crop=config.get_oneway_ref("crop"),
        patch_size=get_vit_size(size).patch_size,
        depth=get_vit_size(size).depth,
        dtype="float32",
        remat="none",
        **GLOBAL_ATTENTION.get(model, {}),
        **SMALL_MODELS.get((model, size), {}),
    )
    config.data = dict(
        name="folder/objects",
        data_dir="data",
        split="train",
        num_workers=0,
        target_sampling=dict(min_area_fraction=0.02, merge_prob=0.0),
        augmentation=dict(object_scale=(1.2, 3.0)),
    )
    config.clicks = dict(max_initial=3, max_rounds=3)
    config.losses = make_losses(
        model,
        loss,
        RANDOM_INIT_LOSS_WEIGHTS if is_random_init else PRETRAINED_LOSS_WEIGHTS,
    )
    config.optimizer = dict(
        name="adamw",
        learning_rate=1e-3 if is_random_init or trains_scores_only else 4e-4,
        layerwise_lr_decay=1.0,
        lr_rules=() if is_random_init else PRETRAINED_LR_RULES,
        frozen=("(?!.*/score/).*",) if trains_scores_only else (),
        warmup=100,
        schedule="cosine",
        weight_decay=0.05,
        clip_norm=1.0,
    )
    config.zoom = dict(min_side=100)
    config.validation = dict(every=400)
    return add_defaults(config)

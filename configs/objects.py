r"""A folder of pictures with label maps: a small model.

    python -m mst_jax.prepare folder/objects --source DIR --data_dir data
    python -m mst_jax.train --config configs/objects.py:model=mst,size=small \
      --config.start=vit_small_patch14_dinov2.npz --workdir runs/objects

`model` is simpleclick, mst, adaptiveclick or mst_adaptive, `size` a row of the table of
sizes; nano and tiny learn from nothing, the others go on from a trained backbone. `loss`
takes the place of the recipe's mask loss: one of MASK_LOSSES or a sum, bce+dice; with
scores those of token selection learn alone, with distillation mst-small teaches.
Cost and result: docs/results.md.
"""

from ml_collections import ConfigDict

from mst_jax import config_options
from mst_jax.backbones.vit_sizes import pick
from mst_jax.models.recipes import LOSSES

# The plain model and the query decoder's attend in windows; these pictures are small.
GLOBAL = {"simpleclick": dict(window=0), "adaptiveclick": dict(window=0)}

FROM_NOTHING = ("nano", "tiny")

# What was trained on pictures learns slower than what is fresh; and that not at the rate
# from nothing, 1e-3, at which the IoU fell from 0.36 to 0.12 after 100 steps of 16. In
# DINOv2's tokens an object is already one; at a quarter of the rate it was no longer so.
# An IoU of 0.56 took 19,000 examples there (10,600 of them with the normalised loss, some
# with other crops), at 0.03 of the rate 4,200: single runs that differ in more than this.
# The kernel of the clicks sums up 80 pixels and more: at the whole rate a click was, after
# 400 steps, six times as long as the tokens. 0.05 was no worse in one run; 0.01 was.
TRAINED = (
    ("embed/hints.*", 0.05),
    ("backbone/block.*|embed/(image|positions).*", 0.03),
)

# Two selections that look at every token, in place of three that look at squares of 16:
# 30 million parameters in place of 39, few enough to live in git as float16. Their gains
# start at 0, not at 1: at first the plain model, which it goes on from, answers.
LEAN = {("mst", "small"): dict(every=6, selection=dict(reduce=1, gain=0.0))}

# The distances of the contrast grow without bound, and with them the tokens. From nothing
# and at this rate its published weight of 1 drowned the mask: IoU 0 after 100 steps. On a
# trained ViT-S 0.1 and 0.01 drowned the scores, see docs/results.md; 0.001 is that of the
# release 224.
FROM_NOTHING_LOSSES = dict(token_contrast=0.1, token_score=0.5)
TRAINED_LOSSES = dict(token_contrast=0.001, token_score=0.5)


# Where a mask is not yet half right, the normalised losses alone ask for a probability of
# 0.5 everywhere (0.35 is their value there, and was it for 1,000 steps): bce+dice first.
MASK_LOSSES = dict(
    normalized="normalized_focal",
    adaptive="adaptive_focal",
    bce="bce",
    dice="dice",
    distillation="distillation",
)


def make_losses(model: str, loss: str, weights: dict[str, float]) -> dict:
    """Puts the mask loss and the weights of the token losses into a recipe's."""
    losses = dict(LOSSES[model])
    losses |= {name: weights[name] for name in weights if name in losses}
    if not loss:
        return losses
    if loss == "scores" and "token_score" in losses:
        return dict(token_score=1.0)
    names = loss.split("+")
    if losses.pop("normalized_focal", 0.0) and set(names) <= set(MASK_LOSSES):
        return losses | {MASK_LOSSES[name]: 1.0 for name in names}
    raise ValueError(
        f"{model} has no loss {loss!r}; leave it out, or: simpleclick and mst take "
        f"{', '.join(MASK_LOSSES)} and sums such as bce+dice, mst and mst_adaptive scores"
    )


def get_config(argument: str = "") -> ConfigDict:
    chosen = config_options.read_argument(
        argument, model="simpleclick", size="nano", loss=""
    )
    from_nothing = chosen["size"] in FROM_NOTHING
    config = ConfigDict()
    config.seed = 0
    config.start = ""
    config.fresh = ()
    config.teacher = "mst-small" if "distillation" in chosen["loss"] else ""
    config.batch = 8
    config.accumulate = 1
    config.average = 0.0 if from_nothing else 0.999
    config.steps = 1500
    config.crop = 128
    config.log_every = 50
    config.checkpoint_every = 200
    config.num_kept = 2
    config.model = dict(
        name=chosen["model"],
        size=chosen["size"],
        crop=config.get_ref("crop"),
        patch=pick(chosen["size"]).patch,
        depth=pick(chosen["size"]).depth,
        dtype="float32",
        remat="none",
        **GLOBAL.get(chosen["model"], {}),
        **LEAN.get((chosen["model"], chosen["size"]), {}),
    )
    config.data = dict(
        name="folder/objects",
        data_dir="data",
        split="train",
        num_workers=0,
        choosing=dict(smallest=0.02, merge_prob=0.0),
        changes=dict(close=(1.2, 3.0)),
    )
    config.clicks = dict(max_first=3, max_rounds=3)
    scores_alone = chosen["loss"] == "scores"
    config.losses = make_losses(
        chosen["model"],
        chosen["loss"],
        FROM_NOTHING_LOSSES if from_nothing else TRAINED_LOSSES,
    )
    config.optimizer = dict(
        name="adamw",
        learning_rate=1e-3 if from_nothing or scores_alone else 4e-4,
        layer_decay=1.0,
        rate_rules=() if from_nothing else TRAINED,
        frozen=("(?!.*/score/).*",) if scores_alone else (),
        warmup=100,
        decay="cosine",
        weight_decay=0.05,
        clip_norm=1.0,
    )
    config.parallel = dict(step="jit", model=1, rules=((".*", ()),))
    config.evaluation = dict(zoom=config.get_ref("crop"), zoom_min_side=100)
    config.validation = dict(
        name="",  # a prepared set; empty: none
        data_dir=config.data.get_ref("data_dir"),
        split="val",
        limit=500,
        every=400,
    )
    config.watching = dict(tensorboard=True, pictures_every=1000, num_pictures=4)
    return config

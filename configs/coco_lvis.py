r"""COCO+LVIS: any recipe with its paper's hyper-parameters, at 448 or 224 pixels.

    python -m mst_jax.prepare coco_lvis --source DIR --data_dir data
    python -m mst_jax.train --config configs/coco_lvis.py:model=mst,size=base \
      --config.start=cocolvis_vit_base.pth --workdir runs/coco_lvis

`model` is simpleclick, mst, adaptiveclick or mst_adaptive; `release`, for the two with
token selection, slim-448, 448, 224 or 224-large (with size=large); the last two train at
224 pixels. 224 weighs the token losses by a thousandth and starts from MAE's weights, as
the models without token selection do; the others start from SimpleClick's COCO+LVIS ones.

Cost: mst slim-448 90 epochs of 99,388 pictures, batch 60, on 6 GPUs; adaptiveclick 60
epochs of 30,000.
Published: MST (ViT-B, 448) DAVIS NoC@90 4.55.
"""

from ml_collections import ConfigDict

from mst_jax import config_options
from mst_jax.models.recipes import MILD_CHANGES, training_of

PICTURES, SHORT_EPOCH = 99_388, 30_000
SMALL = {"224": dict(pyramid=(256, 256, 256, 256)), "224-large": dict()}
TOKEN_WEIGHT = {"224": 1e-3, "224-large": 1.0}


def get_config(argument: str = "") -> ConfigDict:
    chosen = config_options.read_argument(
        argument, model="mst", size="base", release="slim-448"
    )
    has_tokens = "mst" in chosen["model"]
    is_small = has_tokens and chosen["release"] in SMALL
    whole = has_tokens and not is_small
    published = training_of(
        chosen["model"], pictures=PICTURES if whole else SHORT_EPOCH
    )
    config = ConfigDict()
    config.seed = 0
    config.start = ""
    config.fresh = ()
    config.teacher = ""
    config.batch = published["batch"]
    config.accumulate = 1
    config.average = 0.0
    config.steps = published["steps"]
    config.crop = 224 if is_small else 448
    config.log_every = 50
    config.checkpoint_every = 1000
    config.num_kept = 3
    config.model = dict(
        name=chosen["model"],
        size=chosen["size"],
        crop=config.get_ref("crop"),
        dtype="bfloat16",
        remat="none",
    )
    if has_tokens:
        config.model.release = chosen["release"]
        config.model.update(SMALL.get(chosen["release"], {}))
    config.data = dict(
        name="coco_lvis",
        data_dir="data",
        split="train",
        num_workers=8,
        choosing=dict(
            smallest=0.0, smallest_pixels=1000, stuff_prob=0.3, by_layer=False
        ),
        changes=published["changes"] if whole else dict(MILD_CHANGES),
    )
    config.clicks = published["clicks"]
    losses = published["losses"]
    if is_small:
        weight = TOKEN_WEIGHT[chosen["release"]]
        losses |= dict(
            token_contrast=weight, token_score=dict(weight=weight, form="squared")
        )
    config.losses = losses
    config.optimizer = published["optimizer"]
    config.parallel = dict(step="jit", model=1, rules=((".*", ()),))
    config.evaluation = dict(
        zoom=config.get_ref("crop"), zoom_min_side=20 if has_tokens else 200
    )
    config.validation = dict(
        name="",  # a prepared set; empty: none
        data_dir=config.data.get_ref("data_dir"),
        split="val",
        limit=500,
        every=5000,
    )
    config.watching = dict(tensorboard=True, pictures_every=1000, num_pictures=4)
    return config

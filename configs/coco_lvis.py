r"""COCO+LVIS: any model with its paper's hyper-parameters, at 448 or 224 pixels.

    python -m mst_jax.prepare coco_lvis --source DIR --data-dir data
    python -m mst_jax.train --config configs/coco_lvis.py:model=mst,size=base \
      --config.init_from=cocolvis_vit_base.pth --workdir runs/coco_lvis

`model` is simpleclick, mst, adaptiveclick or mst_adaptive; `release`, for the two with
token selection, slim-448, 448, 224 or 224-large (with size=large); the last two train
at 224 pixels. 224 weights the token losses by a thousandth and starts from MAE's
weights, as the models without token selection do; the others start from SimpleClick's
COCO+LVIS ones.

Cost: mst slim-448 90 epochs of 99,388 images, batch 60, on 6 GPUs; adaptiveclick 60
epochs of 30,000.
Published: MST (ViT-B, 448) DAVIS NoC@90 4.55.
"""

from ml_collections import ConfigDict

from configs.defaults import add_defaults
from configs.published import COCO_LVIS_AUGMENTATION, published_training
from mst_jax.config_options import parse_config_argument

NUM_IMAGES, NUM_IMAGES_SHORT_EPOCH = 99_388, 30_000

# The releases at 224 pixels: further arguments of the model, weight of the token
# losses.
SMALL_RELEASES = {
    "224": dict(pyramid_widths=(256, 256, 256, 256)),
    "224-large": dict(),
}
TOKEN_LOSS_WEIGHTS = {"224": 1e-3, "224-large": 1.0}


def get_config(argument: str = "") -> ConfigDict:
    options = parse_config_argument(
        argument, model="mst", size="base", release="slim-448"
    )
    model, release = options["model"], options["release"]
    has_tokens = "mst" in model
    is_small = has_tokens and release in SMALL_RELEASES
    has_long_epochs = has_tokens and not is_small
    published = published_training(
        model,
        num_images=NUM_IMAGES if has_long_epochs else NUM_IMAGES_SHORT_EPOCH,
    )
    config = ConfigDict()
    config.batch = published["batch"]
    config.steps = published["steps"]
    config.crop = 224 if is_small else 448
    release_options = {}
    if has_tokens:
        release_options = dict(release=release, **SMALL_RELEASES.get(release, {}))
    config.model = dict(
        name=model,
        size=options["size"],
        crop=config.get_oneway_ref("crop"),
        dtype="bfloat16",
        remat="none",
        **release_options,
    )
    config.data = dict(
        name="coco_lvis",
        data_dir="data",
        split="train",
        num_workers=8,
        target_sampling=dict(
            min_area_fraction=0.0,
            min_area_pixels=1000,
            stuff_prob=0.3,
            by_layer=False,
        ),
        augmentation=published["augmentation"]
        if has_long_epochs
        else dict(COCO_LVIS_AUGMENTATION),
    )
    config.clicks = published["clicks"]
    losses = published["losses"]
    if is_small:
        weight = TOKEN_LOSS_WEIGHTS[release]
        losses |= dict(
            token_contrast=weight, token_score=dict(weight=weight, form="squared")
        )
    config.losses = losses
    config.optimizer = published["optimizer"]
    config.zoom = dict(min_side=20 if has_tokens else 200)
    return add_defaults(config)

r"""HQSeg-44K at 1024 pixels: MST's finest masks.

    python -m mst_jax.prepare hqseg44k --source DIR --data-dir data
    python -m mst_jax.train --config configs/hqseg.py:size=base \
      --config.init_from=runs/coco_lvis --workdir runs/hqseg

Starts from a model of COCO+LVIS; positions are resized. Cost: 4,096 tokens per image,
five times as many as at 448, and attention to all of them: plan 10 times the time an
image. The length of the published training is not known; 20 epochs of 44,320 images
here.
Published: the released weights mst+cl-B-3s-1024; no number beside them.
"""

from ml_collections import ConfigDict

from configs.defaults import add_defaults
from configs.published import published_training
from mst_jax.config_options import parse_config_argument

NUM_EPOCHS, NUM_IMAGES, BATCH_SIZE = 20, 44_320, 16


def get_config(argument: str = "") -> ConfigDict:
    options = parse_config_argument(argument, size="base")
    published = published_training("mst", num_images=NUM_IMAGES)
    config = ConfigDict()
    config.batch = BATCH_SIZE
    config.steps = NUM_EPOCHS * NUM_IMAGES // BATCH_SIZE
    config.crop = 1024
    config.model = dict(
        name="mst",
        size=options["size"],
        release="1024",
        crop=config.get_oneway_ref("crop"),
        dtype="bfloat16",
        remat="none",
    )
    config.data = dict(
        name="hqseg44k",
        data_dir="data",
        split="train",
        num_workers=8,
        target_sampling=dict(min_area_fraction=0.0, min_area_pixels=1000),
        augmentation=published["augmentation"],
    )
    config.clicks = published["clicks"]
    config.losses = dict(
        normalized_focal=1.0,
        token_contrast=1.0,
        token_score=dict(weight=1.0, form="squared"),
    )
    config.optimizer = published["optimizer"]
    config.zoom = dict(min_side=20)
    return add_defaults(config)

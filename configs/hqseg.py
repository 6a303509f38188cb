r"""HQSeg-44K at 1024 pixels: MST's finest masks.

    python -m mst_jax.prepare hqseg44k --source DIR --data_dir data
    python -m mst_jax.train --config configs/hqseg.py:size=base \
      --config.start=runs/coco_lvis --workdir runs/hqseg

Starts from a model of COCO+LVIS; positions are resized. Cost: 4,096 tokens a picture, five
times as many as at 448, and attention to all of them: plan 10 times the time a picture.
The length of the published training is not known; 20 epochs of 44,320 pictures here.
Published: the released weights mst+cl-B-3s-1024; no number beside them.
"""

from ml_collections import ConfigDict

from mst_jax import config_options
from mst_jax.models.recipes import training_of

EPOCHS, PICTURES, BATCH = 20, 44_320, 16


def get_config(argument: str = "") -> ConfigDict:
    chosen = config_options.read_argument(argument, size="base")
    published = training_of("mst", pictures=PICTURES)
    config = ConfigDict()
    config.seed = 0
    config.start = ""
    config.fresh = ()
    config.teacher = ""
    config.batch = BATCH
    config.accumulate = 1
    config.average = 0.0
    config.steps = EPOCHS * PICTURES // BATCH
    config.crop = 1024
    config.log_every = 50
    config.checkpoint_every = 1000
    config.num_kept = 3
    config.model = dict(
        name="mst",
        size=chosen["size"],
        release="1024",
        crop=config.get_ref("crop"),
        dtype="bfloat16",
        remat="none",
    )
    config.data = dict(
        name="hqseg44k",
        data_dir="data",
        split="train",
        num_workers=8,
        choosing=dict(smallest=0.0, smallest_pixels=1000),
        changes=published["changes"],
    )
    config.clicks = published["clicks"]
    config.losses = dict(
        normalized_focal=1.0,
        token_contrast=1.0,
        token_score=dict(weight=1.0, form="squared"),
    )
    config.optimizer = published["optimizer"]
    config.parallel = dict(step="jit", model=1, rules=((".*", ()),))
    config.evaluation = dict(zoom=config.get_ref("crop"), zoom_min_side=20)
    config.validation = dict(
        name="",  # a prepared set; empty: none
        data_dir=config.data.get_ref("data_dir"),
        split="val",
        limit=500,
        every=5000,
    )
    config.watching = dict(tensorboard=True, pictures_every=1000, num_pictures=4)
    return config

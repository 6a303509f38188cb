"""Minutes on a laptop: a tiny ViT on drawn scenes, nothing to download.

    make quickstart

Cost: about 5 minutes on 2 CPU cores. Result: see docs/results.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.start = ""
    config.fresh = ()
    config.teacher = ""
    config.steps = 1400
    config.batch = 8
    config.accumulate = 1
    config.average = 0.0
    config.crop = 96
    config.log_every = 50
    config.checkpoint_every = 200
    config.num_kept = 2
    config.model = dict(
        name="simpleclick",
        size="nano",
        crop=config.get_ref("crop"),
        window=0,
    )
    config.data = dict(
        name="shapes",
        data_dir="data",
        split="train",
        num_workers=0,
        changes=dict(scale=(0.6, 2.4)),
    )
    config.clicks = dict(max_first=3, max_rounds=3)
    config.losses = dict(normalized_focal=1.0)
    config.optimizer = dict(
        name="adamw",
        learning_rate=1e-3,
        warmup=50,
        decay="cosine",
        weight_decay=0.05,
        clip_norm=1.0,
    )
    config.parallel = dict(step="jit", model=1, rules=((".*", ()),))
    config.evaluation = dict(zoom=config.get_ref("crop"), zoom_min_side=40)
    config.validation = dict(
        name="",  # a prepared set; empty: none
        data_dir=config.data.get_ref("data_dir"),
        split="validation",
        limit=100,
        every=200,
    )
    config.watching = dict(tensorboard=True, pictures_every=0, num_pictures=4)
    return config

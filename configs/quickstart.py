"""Minutes on a laptop: a tiny ViT on drawn scenes, nothing to download.

    make quickstart

Cost: about 5 minutes on 2 CPU cores. Result: see docs/results.md.
"""

from ml_collections import ConfigDict

from configs.defaults import add_defaults


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.steps = 1400
    config.batch = 8
    config.crop = 96
    config.checkpoint_every = 200
    config.keep_checkpoints = 2
    config.model = dict(
        name="simpleclick",
        size="nano",
        crop=config.get_oneway_ref("crop"),
        window=0,
    )
    config.data = dict(
        name="shapes",
        data_dir="data",
        split="train",
        num_workers=0,
        augmentation=dict(scale=(0.6, 2.4)),
    )
    config.clicks = dict(max_initial=3, max_rounds=3)
    config.losses = dict(normalized_focal=1.0)
    config.optimizer = dict(
        name="adamw",
        learning_rate=1e-3,
        warmup=50,
        schedule="cosine",
        weight_decay=0.05,
        clip_norm=1.0,
    )
    config.zoom = dict(min_side=40)
    config.validation = dict(split="validation", limit=100, every=200)
    config.summaries = dict(images_every=0)
    return add_defaults(config)

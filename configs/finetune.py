r"""Fine-tune the bundled model `mst-small` on your own images, a few or many.

    python -m mst_jax.prepare folder/mine --source DIR --data-dir data
    python -m mst_jax.train --config configs/finetune.py --config.data.name=folder/mine \
      --workdir runs/mine
    python -m mst_jax.evaluate --checkpoint runs/mine --dataset folder/mine \
      --data-dir data --out clicks.json

The first 80 % of the images are trained on, the others are held out for validation.
docs/own-images.md has the cost and a result. With 10 images or fewer, also pass
`--config.optimizer.learning_rate=3e-5 --config.optimizer.warmup=10`.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.defaults import add_defaults


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.init_from = "mst-small"
    config.epochs = 30.0
    config.batch = 8
    config.grad_accum_steps = 4  # memory of a quarter of the batch
    config.ema_decay = 0.95
    config.crop = 320
    config.log_every = 5
    config.checkpoint_every = 20
    config.keep_checkpoints = 2
    # The architecture of mst-small.
    config.model = dict(
        name="mst",
        size="small",
        crop=config.get_oneway_ref("crop"),
        insert_every=6,
        selection=dict(pool_size=1, layer_scale_init=0.0),
    )
    config.data = dict(
        name="folder/mine",
        data_dir="data",
        split="train[:80%]",
        num_workers=0,
        target_sampling=dict(
            min_area_fraction=0.0, min_area_pixels=100, merge_prob=0.0
        ),
        # Up to the whole image, which is what the model sees at the first click.
        augmentation=dict(object_scale=(1.4, 20.0)),
    )
    data: Any = config.data
    # One positive click and at most one negative one to start with: in 14 % of the examples
    # the loss is that of a single click, with 3 in 3 %.
    config.clicks = dict(max_initial=1, max_rounds=3)
    config.losses = dict(
        normalized_focal=1.0, dice=1.0, token_contrast=0.001, token_score=0.5
    )
    config.optimizer = dict(
        name="adamw",
        # Of the neck and the decoder. With 4e-4, a nearly constant backbone, smaller crops
        # and 3 initial clicks, the first mask became worse, see docs/own-images.md.
        learning_rate=1e-4,
        lr_rules=(("(embed|backbone)/.*", 0.2),),
        warmup=4,
        schedule="cosine",
        weight_decay=0.05,
        clip_norm=1.0,
    )
    config.zoom = dict(min_side=100)
    config.validation = dict(
        name=data.get_oneway_ref("name"), split="train[80%:]", limit=5, every=200
    )
    config.summaries = dict(images_every=0)
    return add_defaults(config)

"""SBD at 448 pixels: the plain model, SimpleClick's recipe.

    python -m mst_jax.prepare sbd --source benchmark_RELEASE/dataset --data_dir data
    python -m mst_jax.train --config configs/sbd.py:size=base --workdir runs/sbd

Cost: 55 epochs of 8,498 pictures. Published (SimpleClick, ViT-B, MAE weights, SBD):
NoC@85/90 of GrabCut 1.40 / 1.54, Berkeley 1.44 / 2.46, SBD 3.28 / 5.24,
DAVIS 4.10 / 5.48.
"""

from ml_collections import ConfigDict

EPOCHS, PICTURES = 55, 8498


def get_config(size: str = "size=base") -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.start = ""
    config.batch = 32
    config.steps = EPOCHS * PICTURES // 32
    config.crop = 448
    config.log_every = 50
    config.checkpoint_every = 1000
    config.num_kept = 3
    config.model = dict(
        name="simpleclick",
        size=size.removeprefix("size=") or "base",
        crop=config.get_ref("crop"),
        dtype="bfloat16",
    )
    config.data = dict(
        name="sbd",
        data_dir="data",
        split="train",
        num_workers=8,
        changes=dict(
            scale=(0.75, 1.40),
            symmetry="mirror",
            brightness=0.25,
            contrast=(-0.15, 0.4),
            rgb_shift=10,
        ),
    )
    config.clicks = dict(max_first=24, max_rounds=3)
    config.losses = dict(normalized_focal=1.0)
    config.optimizer = dict(
        name="adam",
        learning_rate=5e-5,
        decay="steps",
        milestones=(50 / EPOCHS,),
        betas=(0.9, 0.999),
    )
    config.evaluation = dict(zoom=config.get_ref("crop"), zoom_min_side=200)
    return config

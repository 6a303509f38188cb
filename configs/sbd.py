r"""SBD at 448 pixels: any recipe with its paper's hyper-parameters.

    python -m mst_jax.prepare sbd --source benchmark_RELEASE/dataset --data_dir data
    python -m mst_jax.train --config configs/sbd.py:model=adaptiveclick,size=base \
      --config.start=mae_pretrain_vit_base.pth --workdir runs/sbd

`model` is simpleclick, mst, adaptiveclick or mst_adaptive; `size` base or huge, as
published, or another row of the table of sizes. AdaptiveClick's authors weigh pictures by
difficulty: --config.data.difficulty=FILE, see docs/data.md.

Cost: simpleclick 55 epochs of 8,498 pictures, batch 32; adaptiveclick 60, batch 48, on 4
GPUs. MST was not trained on SBD: 90 epochs, batch 60, as on COCO+LVIS.
Published, NoC@85/90: SimpleClick ViT-B GrabCut 1.40 / 1.54, Berkeley 1.44 / 2.46,
SBD 3.28 / 5.24, DAVIS 4.10 / 5.48.
"""

from ml_collections import ConfigDict

from mst_jax import config_options
from mst_jax.models.recipes import training_of

PICTURES = 8498


def get_config(argument: str = "") -> ConfigDict:
    chosen = config_options.read_argument(argument, model="simpleclick", size="base")
    published = training_of(chosen["model"], pictures=PICTURES)
    config = ConfigDict()
    config.seed = 0
    config.start = ""
    config.fresh = ()
    config.teacher = ""
    config.batch = published["batch"]
    config.accumulate = 1
    config.average = 0.0
    config.steps = published["steps"]
    config.crop = 448
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
    config.data = dict(
        name="sbd",
        data_dir="data",
        split="train",
        num_workers=8,
        difficulty="",
        choosing=dict(
            smallest=0.0,
            smallest_pixels=20 if chosen["model"] == "adaptiveclick" else 80,
        ),
        changes=published["changes"],
    )
    config.clicks = published["clicks"]
    config.losses = published["losses"]
    config.optimizer = published["optimizer"]
    config.parallel = dict(step="jit", model=1, rules=((".*", ()),))
    config.evaluation = dict(zoom=config.get_ref("crop"), zoom_min_side=200)
    config.validation = dict(
        name="",  # a prepared set; empty: none
        data_dir=config.data.get_ref("data_dir"),
        split="val",
        limit=500,
        every=5000,
    )
    config.watching = dict(tensorboard=True, pictures_every=1000, num_pictures=4)
    return config

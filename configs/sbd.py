r"""SBD at 448 pixels: any model with its paper's hyper-parameters.

    python -m mst_jax.prepare sbd --source benchmark_RELEASE/dataset --data-dir data
    python -m mst_jax.train --config configs/sbd.py:model=adaptiveclick,size=base \
      --config.init_from=mae_pretrain_vit_base.pth --workdir runs/sbd

`model` is simpleclick, mst, adaptiveclick or mst_adaptive; `size` base or huge, as
published, or another key of VIT_SIZES. AdaptiveClick's authors weight images by
difficulty: --config.data.difficulty_file=FILE, see docs/data.md.

Cost: simpleclick 55 epochs of 8,498 images, batch 32; adaptiveclick 60, batch 48, on 4
GPUs. MST was not trained on SBD: 90 epochs, batch 60, as on COCO+LVIS.
Published, NoC@85/90: SimpleClick ViT-B GrabCut 1.40 / 1.54, Berkeley 1.44 / 2.46,
SBD 3.28 / 5.24, DAVIS 4.10 / 5.48.
"""

from ml_collections import ConfigDict, config_dict

from configs.defaults import add_defaults
from configs.published import published_training
from mst_jax.config_options import parse_config_argument

NUM_IMAGES = 8498


def get_config(argument: str = "") -> ConfigDict:
    options = parse_config_argument(argument, model="simpleclick", size="base")
    published = published_training(options["model"], num_images=NUM_IMAGES)
    config = ConfigDict()
    config.batch = published["batch"]
    config.steps = published["steps"]
    config.crop = 448
    config.model = dict(
        name=options["model"],
        size=options["size"],
        crop=config.get_oneway_ref("crop"),
        dtype="bfloat16",
        remat="none",
    )
    config.data = dict(
        name="sbd",
        data_dir="data",
        split="train",
        num_workers=8,
        difficulty_file=config_dict.placeholder(str),
        target_sampling=dict(
            min_area_fraction=0.0,
            min_area_pixels=20 if options["model"] == "adaptiveclick" else 80,
        ),
        augmentation=published["augmentation"],
    )
    config.clicks = published["clicks"]
    config.losses = published["losses"]
    config.optimizer = published["optimizer"]
    return add_defaults(config)

"""Default values of the keys that most configs share."""

from typing import Any

from ml_collections import ConfigDict, config_dict


def add_defaults(config: ConfigDict) -> ConfigDict:
    """Add the keys that a config does not set, also inside its blocks.

    Args:
        config: Config with at least `crop` and `data`; it is changed in place.

    Returns:
        The config itself.
    """
    data: Any = config["data"]
    defaults: dict[str, Any] = dict(
        seed=0,
        # The length of the run: `steps`, or `epochs` over the training images.
        steps=config_dict.placeholder(int),
        epochs=config_dict.placeholder(float),
        # A model whose parameters the run starts from: a workdir or a file; None: none.
        init_from=config_dict.placeholder(str),
        # Patterns of parameters that are initialized again, such as ("decoder/.*",).
        reinit=(),
        # A model to imitate with the loss `distillation`; None: none.
        teacher=config_dict.placeholder(str),
        grad_accum_steps=1,
        ema_decay=0.0,  # 0: no moving average
        log_every=50,
        checkpoint_every=1000,
        keep_checkpoints=3,
        sharding=dict(transform="jit", model_axis_size=1, rules=((".*", ()),)),
        # What the trained model sees of an image.
        zoom=dict(size=config.get_oneway_ref("crop"), min_side=200),
        validation=dict(
            name=config_dict.placeholder(str),  # a prepared dataset; None: none
            data_dir=data.get_oneway_ref("data_dir"),
            split="val",
            limit=500,
            every=5000,
        ),
        summaries=dict(tensorboard=True, images_every=1000, num_images=4),
    )
    for key, value in defaults.items():
        if key not in config:
            config[key] = value
        elif isinstance(value, dict):
            block: Any = config[key]
            for name in value.keys() - block.keys():
                block[name] = value[name]
    return config

"""Parameter rules of single PyTorch layers: linear, convolution, norm, attention.

In each function `name` is the name of the layer in the published program and `path` the
path of its parameters here. PyTorch stores kernels [out in ...], Flax [... in out].
"""

from mst_jax.checkpoints.parameter_mapping import ParameterRule

RulePair = tuple[ParameterRule, ParameterRule]
"""Rules of a kernel (or scale) and of a bias."""


def dense_rules(name: str, path: str) -> RulePair:
    """Return the rules of a linear layer: [out in]."""
    return _kernel_and_bias(name, path, "kernel", "d c -> c d")


def pointwise_rules(name: str, path: str) -> RulePair:
    """Return the rules of a 1x1 convolution: [out in 1 1]."""
    return _kernel_and_bias(name, path, "kernel", "d c 1 1 -> c d")


def patch_rules(name: str, path: str) -> RulePair:
    """Return the rules of a convolution: [out in rows columns]."""
    return _kernel_and_bias(name, path, "kernel", "d c y x -> y x c d")


def transposed_conv_rules(name: str, path: str) -> RulePair:
    """Return the rules of a transposed convolution: [in out rows columns]."""
    return _kernel_and_bias(name, path, "kernel/kernel", "c d y x -> c y x d")


def merge_heads_rules(name: str, path: str) -> RulePair:
    """Return the rules of an attention's output projection: [out, heads x head width]."""
    return _kernel_and_bias(name, path, "kernel", "c (a d) -> a d c")


def norm_rules(name: str, path: str) -> RulePair:
    """Return the rules of a norm's scale and bias."""
    return (
        ParameterRule(f"{name}.weight", (f"{path}/norm/scale",), "c -> c"),
        ParameterRule(f"{name}.bias", (f"{path}/norm/bias",), "c -> c"),
    )


def _kernel_and_bias(name: str, path: str, kernel: str, kernel_axes: str) -> RulePair:
    return (
        ParameterRule(f"{name}.weight", (f"{path}/{kernel}",), kernel_axes),
        ParameterRule(f"{name}.bias", (f"{path}/bias",), "d -> d"),
    )


def qkv_rules(
    weight_name: str, bias_name: str, path: str, *, attention: str = "attention"
) -> RulePair:
    """Return the rules of query, key and value stacked in one array, in this order.

    Args:
        weight_name: Name of the stacked weights, [3 x heads x head width, width].
        bias_name: Name of the stacked biases.
        path: Path of the block.
        attention: Name of the attention in the block.
    """
    # k counts query, key and value; a heads; d channels of a head; c channels of a token.
    part_paths = [f"{path}/{attention}/{part}" for part in ("query", "key", "value")]
    kernel_paths = tuple(f"{part}/kernel" for part in part_paths)
    bias_paths = tuple(f"{part}/bias" for part in part_paths)
    return (
        ParameterRule(weight_name, kernel_paths, "(k a d) c -> k c a d"),
        ParameterRule(bias_name, bias_paths, "(k a d) -> k a d"),
    )

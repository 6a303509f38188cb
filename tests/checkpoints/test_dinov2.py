import numpy as np
import pytest

from mst_jax.checkpoints.dinov2 import dinov2_mapping, infer_dinov2_shape
from mst_jax.checkpoints.formats.npz_file import read_npz
from mst_jax.checkpoints.parameter_mapping import arrays_from_params, params_from_arrays

SHAPES = {
    "embed/image/kernel": (2, 2, 3, 4),
    "embed/image/bias": (4,),
    "embed/positions": (3, 3, 4),
    **{
        f"backbone/block0/{path}": shape
        for path, shape in {
            **{
                f"norm{n}/norm/{part}": (4,)
                for n in (1, 2)
                for part in ("scale", "bias")
            },
            **{
                f"attention/{part}/kernel": (4, 2, 2)
                for part in ("query", "key", "value")
            },
            **{f"attention/{part}/bias": (2, 2) for part in ("query", "key", "value")},
            "attention/out/kernel": (2, 2, 4),
            "attention/out/bias": (4,),
            "mlp/hidden/kernel": (4, 16),
            "mlp/hidden/bias": (16,),
            "mlp/out/kernel": (16, 4),
            "mlp/out/bias": (4,),
        }.items()
    },
}


def dinov2_arrays(rng):
    """Return a ViT of one block under DINOv2's names, with its final norm."""
    shapes = {
        "patch_embed.kernel": (2, 2, 3, 4),
        "patch_embed.bias": (4,),
        "pos_embed": (3, 3, 4),
        "blocks.0.norm1.scale": (4,),
        "blocks.0.norm1.bias": (4,),
        "blocks.0.norm2.scale": (4,),
        "blocks.0.norm2.bias": (4,),
        "blocks.0.attn.qkv.kernel": (4, 12),
        "blocks.0.attn.qkv.bias": (12,),
        "blocks.0.attn.proj.kernel": (4, 4),
        "blocks.0.attn.proj.bias": (4,),
        "blocks.0.mlp.fc1.kernel": (4, 16),
        "blocks.0.mlp.fc1.bias": (16,),
        "blocks.0.mlp.fc2.kernel": (16, 4),
        "blocks.0.mlp.fc2.bias": (4,),
        "norm.scale": (4,),
        "norm.bias": (4,),
    }
    return {name: rng.normal(size=shape).astype("f2") for name, shape in shapes.items()}


def test_kernels_are_input_first_and_final_norm_is_unused(tmp_path, rng):
    arrays = dinov2_arrays(rng)
    np.savez(tmp_path / "x.npz", **arrays)
    loaded = read_npz(tmp_path / "x.npz")
    assert infer_dinov2_shape(loaded) == (4, 1, 2, 3)
    flat_params, report = params_from_arrays(loaded, dinov2_mapping(1), SHAPES)
    assert report.unused_arrays == ("norm.bias", "norm.scale")
    assert flat_params.keys() == SHAPES.keys()
    qkv = arrays["blocks.0.attn.qkv.kernel"]
    # Keys are columns 4 to 7; head 1 has the last two of them.
    key = flat_params["backbone/block0/attention/key/kernel"]
    np.testing.assert_array_equal(key[:, 1], qkv[:, 6:8])
    out = flat_params["backbone/block0/attention/out/kernel"]
    np.testing.assert_array_equal(out[1], arrays["blocks.0.attn.proj.kernel"][2:])
    hidden = flat_params["backbone/block0/mlp/hidden/kernel"]
    np.testing.assert_array_equal(hidden, arrays["blocks.0.mlp.fc1.kernel"])
    for name, array in arrays_from_params(flat_params, dinov2_mapping(1)).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_missing_array_is_one_clear_error():
    with pytest.raises(ValueError, match=r"lacks the array patch_embed\.kernel"):
        infer_dinov2_shape({"a": np.ones(1)})

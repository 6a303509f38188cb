import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from mst_jax.checkpoints.parameter_mapping import ParameterMapping, params_from_arrays
from mst_jax.checkpoints.torch_mst import mst_mapping, selection_rules
from mst_jax.layers.attention import MultiHeadAttention


def read_selection(names, arrays, shapes, *, insert_at=(5,)):
    """Read some arrays of the selection before block 5, whose prefix is left out."""
    prefix = f"backbone.blocks.{insert_at[0]}."
    arrays = {f"{prefix}{name}": array for name, array in arrays.items()}
    shapes = {f"backbone/insertions_0/{path}": shape for path, shape in shapes.items()}
    mapping = ParameterMapping(selection_rules("backbone.", insert_at), {})
    flat_params, report = params_from_arrays(arrays, mapping, shapes)
    assert {name.removeprefix(prefix) for name in report.used_arrays} == set(names)
    tree = unflatten_dict(flat_params, sep="/")
    return tree["backbone"]["insertions_0"]


def test_keys_come_before_values():
    """With queries 0 both tokens are averaged; head 0 sees channel 0, head 1 channel 1."""
    kv = np.array([[7, 7], [7, 7], [1, 0], [0, 10]])
    arrays = {
        "score_l_s.q.weight": np.zeros((2, 2)),
        "score_l_s.kv.weight": kv,
        "score_l_s.proj.weight": np.array([[1, 0], [1, 1]]),
        "score_l_s.proj.bias": np.array([0, 0.5]),
    }
    attention = {f"{part}/kernel": (2, 2, 1) for part in ("query", "key", "value")}
    attention |= {"out/kernel": (2, 1, 2), "out/bias": (2,)}
    shapes = {f"coarse_to_fine/{path}": shape for path, shape in attention.items()}
    params = read_selection(arrays, arrays, shapes)["coarse_to_fine"]
    x = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
    out = MultiHeadAttention(2, use_bias=False).apply({"params": params}, x, x)
    np.testing.assert_allclose(out, [[[2, 32.5], [2, 32.5]]])


def test_query_of_the_score_reads_its_own_rows():
    arrays = {
        "score.cross_attn.q.weight": np.arange(8.0).reshape(4, 2),
        "score.cross_attn.kv.weight": np.zeros((8, 2)),
    }
    parts = ("query", "key", "value")
    shapes = {f"score/attention/{part}/kernel": (2, 2, 2) for part in parts}
    query = read_selection(arrays, arrays, shapes)["score"]["attention"]["query"][
        "kernel"
    ]
    # Head 1, its first channel: row 2 of the matrix.
    np.testing.assert_array_equal(query[:, 1, 0], [4, 5])


def test_every_published_name_is_converted_to_its_layer():
    """Each norm and MLP has its own value: a swap would be found."""
    norms = {
        "score.norm1": "score/norm_tokens",
        "score.norm2": "score/norm_grid",
        "score.norm3": "score/norm_mlp",
        "score.cross_attn.norm": "score/reduce_norm",
        "norm3": "norm_grid",
        "norm4": "norm_fused",
        "norm5": "norm_mlp",
        "norm6": "norm_fine",
        "norm7": "norm_coarse",
    }
    layers = {
        "score.cross_attn.proj.expert_s.0": "score/fine/hidden",
        "score.cross_attn.proj.expert_s.2": "score/fine/out",
        "score.cross_attn.proj.expert_l.0": "score/coarse/hidden",
        "score.cross_attn.proj.expert_l.2": "score/coarse/out",
        "score.cross_mlp.fc1": "score/mlp/hidden",
        "score.cross_mlp.fc2": "score/mlp/out",
        "score_mlp.fc1": "mlp/hidden",
        "score_mlp.fc2": "mlp/out",
    }
    arrays, shapes, expected = {}, {}, {}

    def add(name, array, path, shape):
        arrays[name], shapes[path], expected[path] = array, shape, float(len(expected))
        arrays[name][...] = expected[path]

    for name, path in norms.items():
        add(f"{name}.weight", np.zeros(2), f"{path}/norm/scale", (2,))
        add(f"{name}.bias", np.zeros(2), f"{path}/norm/bias", (2,))
    for name, path in layers.items():
        add(f"{name}.weight", np.zeros((3, 2)), f"{path}/kernel", (2, 3))
        add(f"{name}.bias", np.zeros(3), f"{path}/bias", (3,))
    for name in ("gamma", "gamma2"):
        add(name, np.zeros((1, 1, 2)), name, (2,))
    sr, reduce = "score.cross_attn.sr", "score/reduce"
    add(f"{sr}.weight", np.zeros((2, 2, 4, 4)), f"{reduce}/kernel", (4, 4, 2, 2))
    add(f"{sr}.bias", np.zeros(2), f"{reduce}/bias", (2,))
    params = read_selection(arrays, arrays, shapes)
    for path, value in expected.items():
        leaf = params
        for step in path.split("/"):
            leaf = leaf[step]
        assert leaf.shape == shapes[path] and (leaf == value).all(), path


def test_selections_are_numbered_in_the_order_of_their_blocks():
    rules = selection_rules("backbone.", (3, 7))
    gammas = {
        rule.array_name: rule.param_paths[0]
        for rule in rules
        if rule.array_name.endswith("gamma")
    }
    assert gammas == {
        "backbone.blocks.3.gamma": "backbone/insertions_0/gamma",
        "backbone.blocks.7.gamma": "backbone/insertions_1/gamma",
    }


def test_no_name_or_parameter_occurs_twice():
    rules = mst_mapping(4, (0, 2)).rules
    names = [rule.array_name for rule in rules]
    paths = [path for rule in rules for path in rule.param_paths]
    assert len(set(names)) == len(names) and len(set(paths)) == len(paths)

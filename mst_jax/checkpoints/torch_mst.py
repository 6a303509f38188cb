"""Parameter mapping of MST: token selection inside SimpleClick's ViT.

Checkpoints: Xu et al., MST: Adaptive Multi-Scale Tokens Guided Interactive Segmentation,
arXiv 2401.04403, five releases. In their names `_s` means fine and `_l` coarse.
"""

from collections.abc import Sequence

from mst_jax.checkpoints.layer_rules import (
    RulePair,
    dense_rules,
    merge_heads_rules,
    norm_rules,
    patch_rules,
)
from mst_jax.checkpoints.parameter_mapping import ParameterMapping, ParameterRule
from mst_jax.checkpoints.torch_vit import (
    head_rules,
    pyramid_rules,
    vit_rules,
)


def mst_mapping(depth: int, insert_at: Sequence[int]) -> ParameterMapping:
    """Return the mapping of MST's whole model; its checkpoints hold no unused arrays.

    Args:
        depth: Number of blocks.
        insert_at: Indices of the blocks before which tokens are selected.
    """
    rules = (
        *vit_rules("backbone.", depth),
        *selection_rules("backbone.", insert_at),
        *patch_rules("patch_embed_coords.proj", "embed/hints"),
        *pyramid_rules(),
        *head_rules(),
    )
    return ParameterMapping(rules, {})


def selection_rules(prefix: str, insert_at: Sequence[int]) -> tuple[ParameterRule, ...]:
    """Return the rules of token selection in every release; each has some of them.

    Args:
        prefix: Beginning of the names of all arrays.
        insert_at: Indices of the blocks that hold the arrays.
    """
    rules: list[ParameterRule] = []
    # The published program stores a selection in its block, Flax beside the blocks.
    for selection_index, block_index in enumerate(insert_at):
        name = f"{prefix}blocks.{block_index}"
        path = f"backbone/insertions_{selection_index}"
        cross_name, fused_name = f"{name}.score_l_s", f"{name}.score_cross_attn"
        rules += [
            # Scores, and the norms before both kinds of tokens are fused.
            *_score_rules(f"{name}.score", f"{path}/score"),
            *norm_rules(f"{name}.norm6", f"{path}/norm_fine"),
            *norm_rules(f"{name}.norm7", f"{path}/norm_coarse"),
            # Fine tokens attend to coarse ones, then the grid to the fused tokens.
            *_query_kv_rules(cross_name, f"{path}/coarse_to_fine"),
            *merge_heads_rules(f"{cross_name}.proj", f"{path}/coarse_to_fine/out"),
            *norm_rules(f"{name}.norm3", f"{path}/norm_grid"),
            *norm_rules(f"{name}.norm4", f"{path}/norm_fused"),
            *_query_kv_rules(fused_name, f"{path}/fused_to_grid"),
            *merge_heads_rules(f"{fused_name}.proj", f"{path}/fused_to_grid/out"),
            # LayerScale of the attention and of the MLP.
            ParameterRule(f"{name}.gamma", (f"{path}/gamma",), "1 1 c -> c"),
            ParameterRule(f"{name}.gamma2", (f"{path}/gamma2",), "1 1 c -> c"),
            *norm_rules(f"{name}.norm5", f"{path}/norm_mlp"),
            *dense_rules(f"{name}.score_mlp.fc1", f"{path}/mlp/hidden"),
            *dense_rules(f"{name}.score_mlp.fc2", f"{path}/mlp/out"),
        ]
    return tuple(rules)


def _score_rules(name: str, path: str) -> tuple[ParameterRule, ...]:
    """Return the rules of the layers that score the finer and coarser tokens."""
    attention = f"{name}.cross_attn"
    # Cross-attention of the tokens to the pooled grid, one expert for each scale, an MLP.
    return (
        *norm_rules(f"{name}.norm1", f"{path}/norm_tokens"),
        *norm_rules(f"{name}.norm2", f"{path}/norm_grid"),
        *patch_rules(f"{attention}.sr", f"{path}/reduce"),
        *norm_rules(f"{attention}.norm", f"{path}/reduce_norm"),
        *_query_kv_rules(attention, f"{path}/attention"),
        *dense_rules(f"{attention}.proj.expert_s.0", f"{path}/fine/hidden"),
        *dense_rules(f"{attention}.proj.expert_s.2", f"{path}/fine/out"),
        *dense_rules(f"{attention}.proj.expert_l.0", f"{path}/coarse/hidden"),
        *dense_rules(f"{attention}.proj.expert_l.2", f"{path}/coarse/out"),
        *norm_rules(f"{name}.norm3", f"{path}/norm_mlp"),
        *dense_rules(f"{name}.cross_mlp.fc1", f"{path}/mlp/hidden"),
        *dense_rules(f"{name}.cross_mlp.fc2", f"{path}/mlp/out"),
    )


def _query_kv_rules(name: str, path: str) -> RulePair:
    """Return the rules of query, and of key and value, of an attention without biases."""
    # Query has an array of its own; key and value are stacked in this order.
    kv_kernels = (f"{path}/key/kernel", f"{path}/value/kernel")
    return (
        ParameterRule(
            f"{name}.q.weight", (f"{path}/query/kernel",), "(a d) c -> c a d"
        ),
        ParameterRule(f"{name}.kv.weight", kv_kernels, "(k a d) c -> k c a d"),
    )

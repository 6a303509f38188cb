"""Names in the checkpoints of MST: token selection inside SimpleClick's ViT.

Checkpoints: Xu et al., MST: Adaptive Multi-Scale Tokens Guided Interactive Segmentation,
arXiv 2401.04403, five releases. In their names `_s` means fine and `_l` coarse.
"""

from collections.abc import Sequence

from mst_jax.checkpoints.parameter_mapping import NameTable, Rule
from mst_jax.checkpoints.torch_vit import (
    dense_rules,
    head_rules,
    merge_rules,
    norm_rules,
    patch_rules,
    pyramid_rules,
    vit_rules,
)


def mst_table(depth: int, insert_at: Sequence[int]) -> NameTable:
    """The whole model; nothing in its checkpoints is idle."""
    rules = (
        *vit_rules("backbone.", depth),
        *selection_rules("backbone.", insert_at),
        *patch_rules("patch_embed_coords.proj", "embed/hints"),
        *pyramid_rules(),
        *head_rules(),
    )
    return NameTable(rules, {})


def selection_rules(prefix: str, insert_at: Sequence[int]) -> tuple[Rule, ...]:
    """Token selection of every release; each has some of these arrays.

    Args:
        prefix: stands before every name.
        insert_at: numbers of the blocks that hold the arrays.
    """
    rules: list[Rule] = []
    for number, block in enumerate(insert_at):
        name, path = f"{prefix}blocks.{block}", f"backbone/insertions_{number}"
        rules += [
            *_score_rules(f"{name}.score", f"{path}/score"),
            *norm_rules(f"{name}.norm6", f"{path}/norm_fine"),
            *norm_rules(f"{name}.norm7", f"{path}/norm_coarse"),
            *_gather_rules(f"{name}.score_l_s", f"{path}/coarse_to_fine"),
            *merge_rules(f"{name}.score_l_s.proj", f"{path}/coarse_to_fine/out"),
            *norm_rules(f"{name}.norm3", f"{path}/norm_grid"),
            *norm_rules(f"{name}.norm4", f"{path}/norm_fused"),
            *_gather_rules(f"{name}.score_cross_attn", f"{path}/fused_to_grid"),
            *merge_rules(f"{name}.score_cross_attn.proj", f"{path}/fused_to_grid/out"),
            Rule(f"{name}.gamma", (f"{path}/gamma",), "1 1 c -> c"),
            Rule(f"{name}.gamma2", (f"{path}/gamma2",), "1 1 c -> c"),
            *norm_rules(f"{name}.norm5", f"{path}/norm_mlp"),
            *dense_rules(f"{name}.score_mlp.fc1", f"{path}/mlp/hidden"),
            *dense_rules(f"{name}.score_mlp.fc2", f"{path}/mlp/out"),
        ]
    return tuple(rules)


def _score_rules(name: str, path: str) -> tuple[Rule, ...]:
    """What updates and scores the finer and coarser tokens."""
    attention = f"{name}.cross_attn"
    return (
        *norm_rules(f"{name}.norm1", f"{path}/norm_tokens"),
        *norm_rules(f"{name}.norm2", f"{path}/norm_grid"),
        *patch_rules(f"{attention}.sr", f"{path}/reduce"),
        *norm_rules(f"{attention}.norm", f"{path}/reduce_norm"),
        *_gather_rules(attention, f"{path}/attention"),
        *dense_rules(f"{attention}.proj.expert_s.0", f"{path}/fine/hidden"),
        *dense_rules(f"{attention}.proj.expert_s.2", f"{path}/fine/out"),
        *dense_rules(f"{attention}.proj.expert_l.0", f"{path}/coarse/hidden"),
        *dense_rules(f"{attention}.proj.expert_l.2", f"{path}/coarse/out"),
        *norm_rules(f"{name}.norm3", f"{path}/norm_mlp"),
        *dense_rules(f"{name}.cross_mlp.fc1", f"{path}/mlp/hidden"),
        *dense_rules(f"{name}.cross_mlp.fc2", f"{path}/mlp/out"),
    )


def _gather_rules(name: str, path: str) -> tuple[Rule, Rule]:
    """Query, key and value of an attention without biases."""
    pair = (f"{path}/key/kernel", f"{path}/value/kernel")
    return (
        Rule(f"{name}.q.weight", (f"{path}/query/kernel",), "(a d) c -> c a d"),
        Rule(f"{name}.kv.weight", pair, "(k a d) c -> k c a d"),
    )

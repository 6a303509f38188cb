"""Dataclasses of arrays that several folders share; each is a JAX pytree.

They can be jitted, vmapped, scanned and sharded like arrays. Arrays of several examples
have leading axes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

POSITIVE, NEGATIVE, EMPTY = 1, 0, -1
"""Labels of click slots."""

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def pytree_dataclass(cls: type[T]) -> type[T]:
    """Make a frozen dataclass whose fields are the children of a JAX pytree."""
    dataclass = dataclasses.dataclass(frozen=True)(cls)
    # The tests check types at run time, but inside a transformation the fields hold
    # tracers, shapes, axis indices or None instead of arrays.
    dataclass.__no_type_check__ = True  # pyright: ignore[reportAttributeAccessIssue]
    return jax.tree_util.register_dataclass(dataclass)


def _slot_index(slots: Num[Array, "*b k"]) -> Int[Array, "*b k"]:
    """Return the index of each entry along the last axis."""
    return jax.lax.broadcasted_iota(jnp.int32, slots.shape, slots.ndim - 1)


@pytree_dataclass
class Clicks:
    """Clicks on one object in a fixed number of slots, empty slots last.

    Attributes:
        yx: [... k 2] row and column in pixels. Pixel centers are whole numbers; fractions
            are legal (zoom produces them). Undefined in empty slots.
        label: [... k] 1 = on the object, 0 = not on it, -1 = empty slot.
    """

    yx: Float[Array, "*b k 2"]
    label: Int[Array, "*b k"]

    @classmethod
    def empty(cls, *leading: int, num_slots: int) -> Clicks:
        """Create clicks of which all slots are empty.

        Args:
            *leading: Sizes of the leading axes, such as the batch size.
            num_slots: Number of slots k.
        """
        return cls(
            yx=jnp.full((*leading, num_slots, 2), -1.0, jnp.float32),
            label=jnp.full((*leading, num_slots), EMPTY, jnp.int32),
        )

    @classmethod
    def from_lists(
        cls,
        positive: Sequence[tuple[float, float]],
        negative: Sequence[tuple[float, float]] = (),
        *,
        num_slots: int | None = None,
    ) -> Clicks:
        """Create the clicks of one example from pairs, the positive ones first.

        Args:
            positive: (row, column) of the clicks on the object.
            negative: (row, column) of the clicks not on it.
            num_slots: Number of slots k; None = the number of pairs, at least 1.

        Raises:
            ValueError: There are more pairs than slots, or something is not a pair.
        """
        pairs = [*positive, *negative]
        num_slots = max(len(pairs), 1) if num_slots is None else num_slots
        if len(pairs) > num_slots:
            raise ValueError(
                f"{len(pairs)} clicks do not fit into {num_slots} slots; "
                f"use num_slots={len(pairs)} or more"
            )
        if any(np.shape(pair) != (2,) for pair in pairs):
            raise ValueError(f"clicks are (row, column) pairs, got {pairs}")
        yx = np.full((num_slots, 2), -1.0, np.float32)
        label = np.full(num_slots, EMPTY, np.int32)
        yx[: len(pairs)] = np.reshape(pairs, (-1, 2))
        label[: len(pairs)] = NEGATIVE
        label[: len(positive)] = POSITIVE
        return cls(yx=jnp.asarray(yx), label=jnp.asarray(label))

    @property
    def is_filled(self) -> Bool[Array, "*b k"]:
        """True where a slot holds a click."""
        return self.label != EMPTY

    @property
    def is_positive(self) -> Bool[Array, "*b k"]:
        """True where a slot holds a positive click."""
        return self.label == POSITIVE

    @property
    def num_clicks(self) -> Int[Array, "*b"]:
        """Number of filled slots of each example."""
        return self.is_filled.sum(-1)

    def append(self, yx: Num[Array, "*b 2"], label: Int[Array, "*b"] | int) -> Clicks:
        """Fill the first empty slot of each example.

        Args:
            yx: [... 2] row and column in pixels.
            label: [...] label of the new click; -1 changes nothing, nor does any label
                when no slot is empty.
        """
        new_label = jnp.asarray(label, self.label.dtype)
        new_label = jnp.broadcast_to(new_label, self.label.shape[:-1])
        is_next = _slot_index(self.label) == self.num_clicks[..., None]
        is_next &= (new_label != EMPTY)[..., None]
        new_yx = jnp.asarray(yx, self.yx.dtype)[..., None, :]
        return Clicks(
            yx=jnp.where(is_next[..., None], new_yx, self.yx),
            label=jnp.where(is_next, new_label[..., None], self.label),
        )

    def undo(self) -> Clicks:
        """Empty the last filled slot; without a click nothing changes."""
        is_last = _slot_index(self.label) == self.num_clicks[..., None] - 1
        return Clicks(yx=self.yx, label=jnp.where(is_last, EMPTY, self.label))


@pytree_dataclass
class Batch:
    """Training examples as the data loader returns them.

    Attributes:
        image: [b h w 3] uint8 RGB.
        target: [b h w] True on the target object.
        valid: [b h w] False on pixels that are ignored.
        others: [b h w] True on objects other than the target.
        teacher_logits: [b h w] logits of a teacher that saw the same clicks; None without
            a teacher.
    """

    image: Num[Array, "b h w 3"]
    target: Bool[Array, "b h w"]
    valid: Bool[Array, "b h w"]
    others: Bool[Array, "b h w"]
    teacher_logits: Float[Array, "b h w"] | None = None


@pytree_dataclass
class MultiScaleTokens:
    """Finer and coarser tokens of the image, from which token selection selects.

    Attributes:
        fine: [b n c] tokens of half the patch size, row by row, with their positions.
        coarse: [b n2 c] tokens of twice the patch size, row by row, with their positions.
        fine_positions: [n c] position embeddings of the fine tokens.
        coarse_positions: [n2 c] position embeddings of the coarse tokens.
        clicks: [b k] clicks in pixels of the image.
    """

    fine: Float[Array, "b n c"]
    coarse: Float[Array, "b n2 c"]
    fine_positions: Float[Array, "n c"]
    coarse_positions: Float[Array, "n2 c"]
    clicks: Clicks


@pytree_dataclass
class SelectedTokens:
    """Tokens of one scale that a token selection selected.

    Attributes:
        scores: [b n] score, 0 to 1, of every token of the scale, row by row; 0 in
            examples without a positive click.
        index: [b m] indices of the tokens with the highest scores, highest first (with
            `gumbel`: by noisy score).
        selected: [b m] False where the score was too low for the token to be used.
        tokens: [b m c] selected tokens with their positions; 0 where not selected.
    """

    scores: Float[Array, "b n"]
    index: Int[Array, "b m"]
    selected: Bool[Array, "b m"]
    tokens: Float[Array, "b m c"]


@pytree_dataclass
class TokenSelectionOutput:
    """Result of one token selection.

    Attributes:
        click: [b c] click token that the other tokens are compared with; the score of a
            token is (cosine similarity + 1) / 2. 0 without a positive click.
        fine: Selected fine tokens.
        coarse: Selected coarse tokens.
        fused: [b m c] selected fine tokens after attention to the coarse ones.
    """

    click: Float[Array, "b c"]
    fine: SelectedTokens
    coarse: SelectedTokens
    fused: Float[Array, "b m c"]


@pytree_dataclass
class QueryOutputs:
    """Predictions of a query decoder before its first layer and after each layer.

    Attributes:
        class_logits: [b l q 2] class logits of each query (not the clicked object, the
            clicked object).
        mask_logits: [b l q h4 w4] mask logits of each query, at a quarter of the size of
            the image.
    """

    class_logits: Float[Array, "b l q 2"]
    mask_logits: Float[Array, "b l q h4 w4"]


@pytree_dataclass
class Outputs:
    """Everything that a model returns from one forward pass.

    Attributes:
        logits: [b h w] mask logits at the size of the image.
        selections: Result of each token selection; empty for models without any.
        queries: Predictions of the query decoder; None for models without one.
    """

    logits: Float[Array, "b h w"]
    selections: tuple[TokenSelectionOutput, ...] = ()
    queries: QueryOutputs | None = None


@pytree_dataclass
class Rollout:
    """State of a simulated interaction: the clicks so far and the logs of all rounds.

    One object per example. `interaction.rollout.start_rollout` creates the state, and
    `interaction.rollout.rollout` advances it by rounds of prediction and click.

    Attributes:
        clicks: [b k] clicks so far.
        prob: [b h w] probability after the last round; 0 before the first.
        roi: [b 4] region of interest of the last round: top, bottom, left, right,
            inclusive; -1 before the first round and without zoom.
        num_rounds: [b] number of rounds so far.
        ious: [b t] IoU with the target after each round; 0 in rounds that were not run.
        rois: [b t 4] region of interest of each round; -1 in rounds that were not run.
    """

    clicks: Clicks
    prob: Float[Array, "b h w"]
    roi: Int[Array, "b 4"]
    num_rounds: Int[Array, " b"]
    ious: Float[Array, "b t"]
    rois: Int[Array, "b t 4"]

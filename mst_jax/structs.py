"""The nouns of the system: what the arrays are called once they travel together.

Every struct is a frozen dataclass that JAX knows as a tree, so it may be jitted, vmapped,
scanned and sharded like an array. Arrays of several examples have leading axes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num, PRNGKeyArray

POSITIVE, NEGATIVE, EMPTY = 1, 0, -1


def struct(cls: type) -> type:
    """Makes a frozen dataclass whose fields are the children of a JAX tree."""
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(cls))


def _last_index(x: Num[Array, "*b k"]) -> Int[Array, "*b k"]:
    """For each entry, its number along the last axis."""
    return jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)


@struct
class Clicks:
    """What a user said about one object, in a fixed number of slots, empty slots last.

    Attributes:
        yx: [... k 2] row and column in pixels; pixel centres are whole numbers, fractions
            are legal (zoom makes them). Where the slot is empty: anything.
        label: [... k] 1 = on the object, 0 = not on it, -1 = empty slot.
    """

    yx: Float[Array, "*b k 2"]
    label: Int[Array, "*b k"]

    @classmethod
    def empty(cls, *leading: int, num_slots: int) -> Clicks:
        """No click yet: [*leading num_slots] empty slots."""
        return cls(
            yx=jnp.full((*leading, num_slots, 2), -1.0),
            label=jnp.full((*leading, num_slots), EMPTY),
        )

    @classmethod
    def from_lists(
        cls,
        positive: Sequence[tuple[float, float]],
        negative: Sequence[tuple[float, float]] = (),
        *,
        num_slots: int | None = None,
    ) -> Clicks:
        """Clicks of one example from (row, column) pairs, the positive ones first.

        Raises:
            ValueError: more pairs than `num_slots` (default: as many as there are pairs),
                or something that is not a pair.
        """
        given = [*positive, *negative]
        num_slots = max(len(given), 1) if num_slots is None else num_slots
        if len(given) > num_slots:
            raise ValueError(
                f"{len(given)} clicks do not fit into {num_slots} slots; "
                f"give num_slots={len(given)} or more"
            )
        if any(np.shape(pair) != (2,) for pair in given):
            raise ValueError(f"clicks are (row, column) pairs, got {given}")
        yx = np.full((num_slots, 2), -1.0, np.float32)
        label = np.full(num_slots, EMPTY, np.int32)
        yx[: len(given)] = np.reshape(given, (-1, 2))
        label[: len(given)] = NEGATIVE
        label[: len(positive)] = POSITIVE
        return cls(yx=jnp.asarray(yx), label=jnp.asarray(label))

    @property
    def kept(self) -> Bool[Array, "*b k"]:
        """True where a slot holds a click."""
        return self.label != EMPTY

    @property
    def is_positive(self) -> Bool[Array, "*b k"]:
        """True where a slot holds a positive click."""
        return self.label == POSITIVE

    @property
    def num_clicks(self) -> Int[Array, "*b"]:
        """Filled slots of each example."""
        return self.kept.sum(-1)

    def append(self, yx: Num[Array, "*b 2"], label: Int[Array, "*b"] | int) -> Clicks:
        """Fills the first empty slot; label -1, or no slot left, changes nothing."""
        label = jnp.asarray(label, self.label.dtype)
        label = jnp.broadcast_to(label, self.label.shape[:-1])
        slots = _last_index(self.label)
        here = (slots == self.num_clicks[..., None]) & (label != EMPTY)[..., None]
        yx = jnp.asarray(yx, self.yx.dtype)[..., None, :]
        return Clicks(
            yx=jnp.where(here[..., None], yx, self.yx),
            label=jnp.where(here, label[..., None], self.label),
        )

    def undo(self) -> Clicks:
        """Empties the last filled slot; without a click it changes nothing."""
        last = _last_index(self.label) == self.num_clicks[..., None] - 1
        return Clicks(yx=self.yx, label=jnp.where(last, EMPTY, self.label))


@struct
class Batch:
    """Training examples as the loader hands them over.

    Attributes:
        image: [b h w 3] uint8 RGB.
        target: [b h w] True on the wanted object.
        valid: [b h w] False on pixels that do not count.
        others: [b h w] True on objects that are not the wanted one.
        taught: [b h w] logits of a teacher who saw the same clicks; None without one.
    """

    image: Num[Array, "b h w 3"]
    target: Bool[Array, "b h w"]
    valid: Bool[Array, "b h w"]
    others: Bool[Array, "b h w"]
    taught: Float[Array, "b h w"] | None = None


@struct
class Lent:
    """What an embedding lends to the token selections, besides the grid of tokens.

    Attributes:
        fine: [b n c] tokens of half the patch's side, row by row, with their positions.
        coarse: [b n2 c] tokens of twice the patch's side, likewise.
        fine_positions: [n c] positions of the fine tokens.
        coarse_positions: [n2 c] positions of the coarse tokens.
        clicks: [b k] in pixels of the picture.
    """

    fine: Float[Array, "b n c"]
    coarse: Float[Array, "b n2 c"]
    fine_positions: Float[Array, "n c"]
    coarse_positions: Float[Array, "n2 c"]
    clicks: Clicks


@struct
class Chosen:
    """The tokens of one scale that a token selection chose.

    Attributes:
        scores: [b n] 0 to 1, of every token of the scale, row by row; 0 in examples
            without a positive click.
        index: [b m] numbers of the best tokens, best first.
        kept: [b m] False where the token scored too low to be used.
        tokens: [b m c] the chosen tokens with their positions; 0 where not kept.
    """

    scores: Float[Array, "b n"]
    index: Int[Array, "b m"]
    kept: Bool[Array, "b m"]
    tokens: Float[Array, "b m c"]


@struct
class TokenChoice:
    """What one token selection chose, and by what.

    Attributes:
        click: [b c] the click token, which scores are cosines to; 0 without a positive
            click.
        fine: chosen fine tokens.
        coarse: chosen coarse tokens.
        fused: [b m c] the chosen fine tokens after they looked at the coarse ones.
    """

    click: Float[Array, "b c"]
    fine: Chosen
    coarse: Chosen
    fused: Float[Array, "b m c"]


@struct
class Queries:
    """What the heads of a query decoder said, before its first layer and after each.

    Attributes:
        class_logits: [b l q 2] of a query: no click, click.
        mask_logits: [b l q h4 w4] of a query's mask, at a quarter of the picture's size.
    """

    class_logits: Float[Array, "b l q 2"]
    mask_logits: Float[Array, "b l q h4 w4"]


@struct
class Outputs:
    """What a model says in one forward pass.

    Attributes:
        logits: [b h w] before the sigmoid, at the size of the picture.
        choices: what each token selection chose; empty for models without one.
        queries: what the query decoder said; empty for models without one.
    """

    logits: Float[Array, "b h w"]
    choices: tuple[TokenChoice, ...] = ()
    queries: Queries | tuple[()] = ()


@struct
class Rollout:
    """A conversation between a model and its users, one object an example.

    Attributes:
        clicks: [b k] so far.
        prob: [b h w] probability after the last round; 0 before the first.
        region: [b 4] part of the picture that the network saw last: top, bottom, left,
            right, inclusive; -1 before the first round and without zoom.
        num_rounds: [b] rounds played by each example.
        ious: [b t] overlap with the target after each round; 0 where not played.
        regions: [b t 4] the region of each round; -1 where not played.
    """

    clicks: Clicks
    prob: Float[Array, "b h w"]
    region: Int[Array, "b 4"]
    num_rounds: Int[Array, " b"]
    ious: Float[Array, "b t"]
    regions: Int[Array, "b t 4"]


@struct
class Lanes:
    """Sessions under way, one a lane; free lanes hold anything.

    Attributes:
        image: [b h w 3] uint8 RGB; each picture in the upper left corner.
        size: [b 2] height and width without padding.
        target: [b h w] True on the wanted object.
        valid: [b h w] pixels that count; False on padding.
        seed: [b] of the users.
        said: what was said so far.
    """

    image: Num[Array, "b h w 3"]
    size: Int[Array, "b 2"]
    target: Bool[Array, "b h w"]
    valid: Bool[Array, "b h w"]
    seed: Int[Array, " b"]
    said: Rollout


@struct
class Look:
    """A prediction as training asks for it, to be shown to people.

    Attributes:
        batch: [b] the examples.
        clicks: [b k] what the user said.
        prob: [b h w] what the model says to it, 0 to 1.
        choices: the tokens it chose on the way, of each selection.
    """

    batch: Batch
    clicks: Clicks
    prob: Float[Array, "b h w"]
    choices: tuple[TokenChoice, ...]


@struct
class TrainState:
    """Everything that the next training step needs besides its batch.

    Attributes:
        step: updates done.
        params: the model's parameters, a tree of arrays.
        optimizer: optax's state.
        key: of the run; each step folds its number in, so that a resumed run draws what
            the unbroken one would have drawn.
        average: of the parameters of all steps, the late ones weighing most; empty if
            none is kept.
        teacher: a `TrainedModel` that the loss `distillation` imitates; empty without.
            It stays as it is and is not saved with the run.
    """

    step: Int[Array, ""]
    params: dict
    optimizer: tuple
    key: PRNGKeyArray
    average: dict | tuple[()] = ()
    teacher: object = ()

    @property
    def best_params(self) -> dict:
        """What the model is known by: the average of the parameters if one is kept."""
        return self.average or self.params

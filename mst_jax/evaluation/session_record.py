"""What is kept of one session: a line of JSON that can be read back."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from mst_jax.clicks.next_click import THRESHOLD
from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation.metrics import boundary_iou
from mst_jax.evaluation.simulation import Session


@dataclasses.dataclass(frozen=True)
class Record:
    """What happened to one object.

    Attributes:
        id: name of the object within its data set.
        ious: [t] IoU after each click, 0 to 1.
        clicks: [t 3] row, column and 1 = positive or 0 = negative.
        seconds: time of the session without compilation.
        share: of the picture that the object fills, 0 to 1.
        boundary_iou: of the last mask, 0 to 1.
        seed: of the user; 0 for the ideal one.
    """

    id: str
    ious: Float[np.ndarray, " t"]
    clicks: Int[np.ndarray, "t 3"]
    seconds: float
    share: float
    boundary_iou: float
    seed: int = 0

    @classmethod
    def of(
        cls, target: EvaluationTarget, session: Session, *, seed: int = 0
    ) -> "Record":
        """Takes from a session what is kept."""
        mask = session.prob > THRESHOLD
        return cls(
            id=target.id,
            ious=session.ious,
            clicks=session.clicks,
            seconds=session.seconds * len(session.ious),
            share=float(target.target.mean()),
            boundary_iou=boundary_iou(mask, target.target, target.valid),
            seed=seed,
        )

    def to_plain(self) -> dict:
        """Strings, numbers and lists, for JSON; nothing is rounded."""
        ious = np.asarray(self.ious, np.float64).tolist()
        return vars(self) | {"ious": ious, "clicks": np.asarray(self.clicks).tolist()}

    @classmethod
    def from_plain(cls, plain: dict) -> "Record":
        """The record that `to_plain` was made of."""
        arrays = {"ious": np.array(plain["ious"]), "clicks": np.array(plain["clicks"])}
        return cls(**(plain | arrays))

"""Hard pictures are shown more often: one score a picture -> how often it is drawn.

The file holds a line `ID,SCORE` for each picture: the picture's name in the prepared set
and how well a model already did on it, 0 (failed) to 1 (perfect). The published scores of
SBD are a pickled list with such a score third in each row and, first, the number of the
picture's line in `train.txt`, from 0.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import grain
import numpy as np
from jaxtyping import Float


class DrawNumber(grain.transforms.RandomMap):
    """Anything -> the number of a picture, drawn by the pictures' shares."""

    def __init__(self, shares: Float[np.ndarray, " n"]) -> None:
        self._upto = np.cumsum(shares)

    def random_map(self, element: object, rng: np.random.Generator) -> int:
        """Draws a number, from 0."""
        at = rng.random() * self._upto[-1]
        return int(np.searchsorted(self._upto, at, side="right"))


def read_scores(path: Path) -> dict[str, float]:
    """Reads `ID,SCORE` lines.

    Raises:
        ValueError: no such file, or a line that is none; says which.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"cannot read the scores {path} ({error}); expected a text file with lines "
            "ID,SCORE"
        ) from None
    scores: dict[str, float] = {}
    for number, row in enumerate(csv.reader(lines), 1):
        score = _to_score(row)
        if score is None or row[0] in scores:
            what = "names a picture again" if score is not None else "is not ID,SCORE"
            raise ValueError(
                f"{path}, line {number} {what}: {','.join(row)!r}; expected a picture's "
                "name once and its score, 0 to 1"
            )
        scores[row[0]] = score
    return scores


def draw_shares(
    names: Sequence[str], scores: Mapping[str, float], *, gamma: float
) -> Float[np.ndarray, " n"]:
    """How often each picture is drawn: (1 - score) ** gamma, scaled to the sum 1.

    Source: the click literature's published training on SBD, gamma 1.25.

    Args:
        names: of the pictures, in order.
        scores: of these pictures and perhaps of more, 0 to 1.
        gamma: 0 draws all pictures alike, more prefers the hard ones.

    Raises:
        ValueError: pictures without a score, or nothing but scores of 1.
    """
    missing = [name for name in names if name not in scores]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(names)} pictures have no score, such as "
            f"{missing[0]!r}; add their lines to the file"
        )
    weights = (1.0 - np.array([scores[name] for name in names])) ** gamma
    if not weights.sum() > 0.0:
        raise ValueError("every picture has the score 1, so that none would be drawn")
    return weights / weights.sum()


def _to_score(row: list[str]) -> float | None:
    try:
        _, text = row
        score = float(text)
    except ValueError:
        return None
    return score if 0.0 <= score <= 1.0 else None

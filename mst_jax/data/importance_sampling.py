"""Sample difficult images more often: one score an image -> its sampling probability.

The score file holds a line `ID,SCORE` for each image: the name of the image in the
prepared dataset and how well a model already did on it, 0 (failed) to 1 (perfect). The
published scores of SBD are a pickled list with such a score third in each row and, first,
the index of the image's line in `train.txt`, from 0.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mst_jax.data.text_files import read_text_lines
from mst_jax.extras import needs_extra

with needs_extra("train"):
    import grain


class WeightedIndexSampler(grain.transforms.RandomMap):
    """Replace any element by the index of an image, sampled by its probability."""

    def __init__(self, probabilities: Float[np.ndarray, " n"]) -> None:
        self._cumulative = np.cumsum(probabilities)

    def random_map(self, element: Any, rng: np.random.Generator) -> int:
        """Sample an index from 0; the element has no influence."""
        # Inverse of the cumulative distribution; its last value may differ from 1.
        random_threshold = rng.random() * self._cumulative[-1]
        return int(np.searchsorted(self._cumulative, random_threshold, side="right"))


def read_score_file(path: Path) -> dict[str, float]:
    """Read a file of `ID,SCORE` lines.

    Args:
        path: Path of the text file.

    Returns:
        The score of each image, 0 to 1, by the name of the image.

    Raises:
        ValueError: There is no such file, or a line is malformed; the message says which.
    """
    try:
        text_lines = read_text_lines(path)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"cannot read the scores {path} ({error}); expected a text file with lines "
            "ID,SCORE"
        ) from None
    scores: dict[str, float] = {}
    for line_number, line_fields in enumerate(csv.reader(text_lines), 1):
        if not line_fields:
            continue
        line_fields = [line_field.strip() for line_field in line_fields]
        # A name that comes twice would silently override the first score.
        image_score = _parse_score(line_fields)
        if image_score is None or line_fields[0] in scores:
            problem_text = (
                "repeats an image" if image_score is not None else "is not ID,SCORE"
            )
            raise ValueError(
                f"{path}, line {line_number} {problem_text}: {','.join(line_fields)!r}; "
                "expected the name of an image once and its score, 0 to 1"
            )
        scores[line_fields[0]] = image_score
    return scores


def sampling_probabilities(
    image_ids: Sequence[str], scores: Mapping[str, float], *, gamma: float
) -> Float[np.ndarray, " n"]:
    """Compute the probability of each image: (1 - score) ** gamma, normalized.

    Source: the click literature's published training on SBD, gamma 1.25.

    Args:
        image_ids: Names of the images, in order.
        scores: Scores of these images and perhaps of more, 0 to 1.
        gamma: 0 samples all images alike, larger values prefer the difficult ones.

    Returns:
        [n] probabilities with the sum 1.

    Raises:
        ValueError: An image has no score, or all scores are 1.
    """
    missing_ids = [image_id for image_id in image_ids if image_id not in scores]
    if missing_ids:
        raise ValueError(
            f"{len(missing_ids)} of {len(image_ids)} images have no score, such as "
            f"{missing_ids[0]!r}; add their lines to the file"
        )
    image_weights = (
        1.0 - np.array([scores[image_id] for image_id in image_ids])
    ) ** gamma
    # Not `<= 0`: NaN is refused as well.
    if not image_weights.sum() > 0.0:
        raise ValueError("every image has the score 1, so that none would be sampled")
    return image_weights / image_weights.sum()


def _parse_score(line_fields: Sequence[str]) -> float | None:
    """Return the score of a line, None if the line is malformed."""
    try:
        _, score_text = line_fields
        image_score = float(score_text)
    except ValueError:
        return None
    return image_score if 0.0 <= image_score <= 1.0 else None

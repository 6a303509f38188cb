"""A drawn summary, for tests of reports."""

import numpy as np

from mst_jax.evaluation.session_record import Record
from mst_jax.evaluation.summary import summarise


def draw_summary(name="toys", num=8, max_clicks=6):
    """Objects of growing size that get better with the clicks, the last ones faster."""
    records = []
    for number in range(num):
        count = np.arange(1, max_clicks + 1)
        ious = 0.97 * (1 - np.exp(-0.3 * (number + 1) * count))
        clicks = np.column_stack([count, count + 3, count % 2])
        share = 0.5 ** (num - number)
        records.append(Record(f"p{number}", ious, clicks, 1.0, share, 0.5))
    return summarise(name, records, max_clicks=max_clicks)

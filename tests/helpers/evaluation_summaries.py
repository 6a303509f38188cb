"""A made-up summary, for tests of reports."""

import numpy as np

from mst_jax.evaluation.results_log import SessionRecord
from mst_jax.evaluation.summary import summarize_sessions


def make_summary(dataset="toys", num_objects=8, max_clicks=6):
    """Summarize objects of growing size, the later ones faster to segment."""
    records = []
    for index in range(num_objects):
        click_counts = np.arange(1, max_clicks + 1)
        ious = 0.97 * (1 - np.exp(-0.3 * (index + 1) * click_counts))
        clicks = np.column_stack([click_counts, click_counts + 3, click_counts % 2])
        area_fraction = 0.5 ** (num_objects - index)
        record = SessionRecord(f"p{index}", ious, clicks, 1.0, area_fraction, 0.5)
        records.append(record)
    return summarize_sessions(dataset, records, max_clicks=max_clicks)

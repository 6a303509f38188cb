from collections import Counter

import numpy as np
import pytest

from mst_jax.data.example import ObjectId
from mst_jax.data.part_hierarchy import find_roots, group_parts, sample_part

HOUSE, DOOR, HANDLE, ROOF, TREE = (ObjectId(0, label) for label in (1, 2, 3, 4, 5))
ALL_IDS = [HOUSE, DOOR, HANDLE, ROOF, TREE]
PART_ROWS = np.array([(*DOOR, *HOUSE), (*ROOF, *HOUSE), (*HANDLE, *DOOR)], np.int32)
NUM_DRAWS = 4000


def test_parts_are_grouped_by_their_parent():
    parts_of = group_parts(PART_ROWS, ALL_IDS)
    assert parts_of == {HOUSE: [DOOR, ROOF], DOOR: [HANDLE]}
    assert find_roots(parts_of, ALL_IDS) == [HOUSE, TREE]


def test_unknown_object_is_neither_parent_nor_part():
    known_ids = [HOUSE, HANDLE, ROOF]
    parts_of = group_parts(PART_ROWS, known_ids)
    assert parts_of == {HOUSE: [ROOF]}
    assert find_roots(parts_of, known_ids) == [HOUSE, HANDLE]


def test_without_rows_every_object_is_a_root():
    parts_of = group_parts(np.zeros((0, 4), np.int32), ALL_IDS)
    assert parts_of == {} and find_roots(parts_of, ALL_IDS) == ALL_IDS


def test_walk_descends_with_probability_one_half():
    rng = np.random.default_rng(0)
    parts_of = group_parts(PART_ROWS, ALL_IDS)
    draws = [sample_part(rng, parts_of, HOUSE) for _ in range(NUM_DRAWS)]
    counts = Counter(object_id for object_id, _ in draws)
    expected = {HOUSE: 0.5, ROOF: 0.25, DOOR: 0.125, HANDLE: 0.125}
    for object_id, probability in expected.items():
        frequency = counts[object_id] / NUM_DRAWS
        assert frequency == pytest.approx(probability, abs=0.025)


def test_zero_to_three_parts_are_excluded_uniformly():
    rng = np.random.default_rng(0)
    parts = [ObjectId(1, label) for label in range(1, 6)]
    draws = [sample_part(rng, {HOUSE: parts}, HOUSE) for _ in range(NUM_DRAWS)]
    excluded_parts = [excluded for object_id, excluded in draws if object_id == HOUSE]
    counts = Counter(map(len, excluded_parts))
    assert set(counts) == {0, 1, 2, 3}
    for count in counts.values():
        assert count / len(excluded_parts) == pytest.approx(0.25, abs=0.035)
    assert all(len(set(excluded)) == len(excluded) for excluded in excluded_parts)
    assert {part for excluded in excluded_parts for part in excluded} == set(parts)


def test_object_without_parts_is_returned_whole():
    rng = np.random.default_rng(0)
    assert sample_part(rng, {HOUSE: [DOOR]}, TREE) == (TREE, [])

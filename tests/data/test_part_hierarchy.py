from collections import Counter

import numpy as np
import pytest

from mst_jax.data.example import Place
from mst_jax.data.part_hierarchy import draw_part, find_parts, find_roots

HOUSE, DOOR, HANDLE, ROOF, TREE = (Place(0, label) for label in (1, 2, 3, 4, 5))
EVERYTHING = [HOUSE, DOOR, HANDLE, ROOF, TREE]
ROWS = np.array([(*DOOR, *HOUSE), (*ROOF, *HOUSE), (*HANDLE, *DOOR)], np.int32)
NUM_DRAWS = 4000


def test_parts_are_listed_under_their_whole():
    parts_of = find_parts(ROWS, EVERYTHING)
    assert parts_of == {HOUSE: [DOOR, ROOF], DOOR: [HANDLE]}
    assert find_roots(parts_of, EVERYTHING) == [HOUSE, TREE]


def test_what_is_not_known_is_neither_whole_nor_part():
    known = [HOUSE, HANDLE, ROOF]
    parts_of = find_parts(ROWS, known)
    assert parts_of == {HOUSE: [ROOF]}
    assert find_roots(parts_of, known) == [HOUSE, HANDLE]


def test_without_rows_everything_is_a_root():
    parts_of = find_parts(np.zeros((0, 4), np.int32), EVERYTHING)
    assert parts_of == {} and find_roots(parts_of, EVERYTHING) == EVERYTHING


def test_each_step_down_is_taken_every_other_time():
    rng = np.random.default_rng(0)
    parts_of = find_parts(ROWS, EVERYTHING)
    draws = [draw_part(rng, parts_of, HOUSE) for _ in range(NUM_DRAWS)]
    shares = Counter(place for place, _ in draws)
    expected = {HOUSE: 0.5, ROOF: 0.25, DOOR: 0.125, HANDLE: 0.125}
    for place, share in expected.items():
        assert shares[place] / NUM_DRAWS == pytest.approx(share, abs=0.025)


def test_none_to_three_parts_are_left_out_evenly():
    rng = np.random.default_rng(0)
    parts = [Place(1, label) for label in range(1, 6)]
    draws = [draw_part(rng, {HOUSE: parts}, HOUSE) for _ in range(NUM_DRAWS)]
    left_out = [parts for place, parts in draws if place == HOUSE]
    counts = Counter(map(len, left_out))
    assert set(counts) == {0, 1, 2, 3}
    for number in counts.values():
        assert number / len(left_out) == pytest.approx(0.25, abs=0.035)
    assert all(len(set(parts)) == len(parts) for parts in left_out)
    assert {part for some in left_out for part in some} == set(parts)


def test_what_has_no_parts_is_wanted_whole():
    rng = np.random.default_rng(0)
    assert draw_part(rng, {HOUSE: [DOOR]}, TREE) == (TREE, [])

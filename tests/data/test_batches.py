import grain
import numpy as np
import pytest

from mst_jax.data.batches import Batches


class Draw(grain.transforms.RandomMap):
    """Number -> the number and something that depends on chance."""

    def random_map(self, element, rng):
        return {"drawn": np.array([element, rng.integers(2**31)])}


def open_batches(num_workers=0, number=7):
    stream = grain.MapDataset.range(number).seed(3).shuffle().repeat()
    return Batches(stream.random_map(Draw()).batch(2), num_workers=num_workers)


def take(batches, number):
    return [next(batches)["drawn"].tolist() for _ in range(number)]


def resume(state, **options):
    batches = open_batches(**options)
    batches.set_state(state)
    return batches


@pytest.mark.parametrize("place", [0, 1, 9])
def test_a_resumed_stream_is_the_unbroken_stream(place):
    unbroken = take(open_batches(), 12)
    first = open_batches()
    take(first, place)
    assert first.get_state() == {"taken": place}
    resumed = resume(first.get_state())
    assert take(resumed, 12 - place) == unbroken[place:]
    resumed.set_state({"taken": 2})
    assert take(resumed, 3) == unbroken[2:5]


def test_workers_change_neither_order_nor_place():
    unbroken = take(open_batches(), 9)
    with_workers = resume({"taken": 2}, num_workers=2)
    assert take(with_workers, 3) == unbroken[2:5]
    state = with_workers.get_state()
    with_workers.close()
    assert take(resume(state), 4) == unbroken[5:]
    fewer = resume({"taken": 1}, num_workers=1)
    assert take(fewer, 2) == unbroken[1:3]
    fewer.close()


def test_closing_twice_or_at_once_does_no_harm():
    batches = open_batches(num_workers=1)
    batches.close()
    batches.close()


def test_a_place_is_the_number_of_batches_taken():
    batches, unbroken = open_batches(), take(open_batches(), 6)
    take(batches, 1)
    batches.go_to(4)
    assert take(batches, 2) == unbroken[4:]

import grain
import numpy as np
import pytest

from mst_jax.data.batch_iterator import BatchIterator


class AddRandomNumber(grain.transforms.RandomMap):
    """Index -> the index and a random number."""

    def random_map(self, element, rng):
        return {"drawn": np.array([element, rng.integers(2**31)])}


def open_batches(num_workers=0, num_examples=7):
    stream = grain.MapDataset.range(num_examples).seed(3).shuffle().repeat()
    stream = stream.random_map(AddRandomNumber()).batch(2)
    return BatchIterator(stream, num_workers=num_workers)


def take_batches(batches, num_batches):
    return [next(batches)["drawn"].tolist() for _ in range(num_batches)]


def resume_from(state, **options):
    batches = open_batches(**options)
    batches.set_state(state)
    return batches


@pytest.mark.parametrize("position", [0, 1, 9])
def test_resumed_stream_equals_the_uninterrupted_stream(position):
    uninterrupted = take_batches(open_batches(), 12)
    interrupted = open_batches()
    take_batches(interrupted, position)
    assert interrupted.get_state() == {"num_batches": position}
    resumed = resume_from(interrupted.get_state())
    assert take_batches(resumed, 12 - position) == uninterrupted[position:]
    resumed.set_state({"num_batches": 2})
    assert take_batches(resumed, 3) == uninterrupted[2:5]


def test_workers_change_neither_order_nor_position():
    uninterrupted = take_batches(open_batches(), 9)
    two_workers = resume_from({"num_batches": 2}, num_workers=2)
    assert take_batches(two_workers, 3) == uninterrupted[2:5]
    state = two_workers.get_state()
    two_workers.close()
    assert take_batches(resume_from(state), 4) == uninterrupted[5:]
    one_worker = resume_from({"num_batches": 1}, num_workers=1)
    assert take_batches(one_worker, 2) == uninterrupted[1:3]
    one_worker.close()


def test_closing_unused_or_closed_iterator_does_nothing():
    batches = open_batches(num_workers=1)
    batches.close()
    batches.close()


def test_seek_goes_to_a_number_of_batches():
    batches, uninterrupted = open_batches(), take_batches(open_batches(), 6)
    take_batches(batches, 1)
    batches.seek(4)
    assert take_batches(batches, 2) == uninterrupted[4:]

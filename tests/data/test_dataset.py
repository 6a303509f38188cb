import pickle
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mst_jax.data import dataset
from mst_jax.data.builders import Folder
from tests.helpers.image_files import IMAGE, LABELS, write_folder

# Writes a set until it is killed.
SLOW = """
import sys, time
from mst_jax.data import store
from mst_jax.data.builders import Folder

def wait(pictures):
    print("writing", file=sys.__stdout__, flush=True)
    time.sleep(600)
    return pictures

source, data_dir = sys.argv[1:]
store.write_set(
    lambda place: Folder(data_dir=place, source=source, progress=wait),
    "folder",
    data_dir,
)
"""


def seen(folder):
    """What a user sees of a folder: no hidden files."""
    return sorted(path.name for path in folder.glob("[!.]*"))


def write(tmp_path, source, data_dir, **options):
    def make(place):
        return Folder(data_dir=place, source=str(source), **options)

    return dataset.write_set(make, "folder", data_dir)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    source = write_folder(root / "source", num_pictures=20)
    write(root, source, root / "data")
    return root / "data"


def test_what_was_written_is_read(data_dir):
    source = dataset.open_source("folder", data_dir, "train")
    assert len(source) == 20
    found = {example.id: example for example in source}
    assert sorted(found) == sorted(f"p{k}" for k in range(20))
    for k in range(20):
        np.testing.assert_array_equal(found[f"p{k}"].image, IMAGE + np.uint8(k))
        np.testing.assert_array_equal(found[f"p{k}"].layers, [LABELS])
    np.testing.assert_array_equal(source.layers(3), [LABELS])
    assert source[-1].id == source[19].id


def test_names_are_known_without_opening_pictures(data_dir):
    for split in ("train", "train[75%:]"):
        source = dataset.open_source("folder", data_dir, split)
        assert source.ids() == [example.id for example in source]


def test_splits_can_be_cut(data_dir):
    whole = [e.id for e in dataset.open_source("folder", data_dir, "train")]
    first = [e.id for e in dataset.open_source("folder", data_dir, "train[:75%]")]
    rest = [e.id for e in dataset.open_source("folder", data_dir, "train[75%:]")]
    assert len(first) == 15 and first + rest == whole


def test_a_source_can_be_sent_to_another_process(data_dir):
    source = dataset.open_source("folder", data_dir, "train[:5]")
    sent = pickle.loads(pickle.dumps(source))
    assert [e.id for e in sent] == [e.id for e in source]


def test_beyond_the_end_is_an_index_error(data_dir):
    source = dataset.open_source("folder", data_dir, "train")
    for index in (20, -21):
        with pytest.raises(IndexError, match="of 20"):
            source[index]


@pytest.mark.parametrize("split", ["test", "train[:", "train[:300%]"])
def test_a_wrong_split_is_explained(split, data_dir):
    with pytest.raises(ValueError, match=r"cannot read split .* which has \['train'\]"):
        dataset.open_source("folder", data_dir, split)


def test_a_set_that_is_not_prepared_names_the_command(data_dir, tmp_path):
    with pytest.raises(
        ValueError, match=r"found there: folder\).*mst_jax.prepare grab"
    ):
        dataset.open_source("grabcut", data_dir, "test")
    with pytest.raises(ValueError, match="no set at all"):
        dataset.open_source("grabcut", tmp_path / "nowhere", "test")


def test_sets_and_splits_are_listed(data_dir):
    assert list(dataset.list_sets(data_dir)) == ["folder"]
    assert dataset.list_splits("folder", data_dir) == ["train"]


def test_a_failed_preparation_leaves_nothing(tmp_path):
    source = write_folder(tmp_path / "source")
    (source / "masks" / "p1.png").unlink()
    with pytest.raises(ValueError, match=r"images/p1.png: has no mask masks/p1.png"):
        write(tmp_path, source, tmp_path / "data")
    assert seen(tmp_path / "data") == []


def test_an_interrupted_preparation_is_swept_up_and_hidden(tmp_path):
    source = write_folder(tmp_path / "source")
    leftover = tmp_path / "data" / "incomplete.folder@abc" / "folder" / "1.0.0"
    leftover.mkdir(parents=True)
    (leftover / "dataset_info.json").write_text("{}")
    other = tmp_path / "data" / "incomplete.folder+birds@xyz"
    other.mkdir()
    assert dataset.list_sets(tmp_path / "data") == {}
    write(tmp_path, source, tmp_path / "data")
    # The other set may be in the making.
    assert seen(tmp_path / "data") == ["folder", other.name]


def test_an_interrupt_keeps_the_older_set(tmp_path):
    write(tmp_path, write_folder(tmp_path / "one"), tmp_path / "data")
    bigger = write_folder(tmp_path / "two", num_pictures=5)

    def stop(pictures):
        yield from list(pictures)[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, bigger, tmp_path / "data", progress=stop)
    assert len(dataset.open_source("folder", tmp_path / "data", "train")) == 3
    write(tmp_path, bigger, tmp_path / "data")
    assert len(dataset.open_source("folder", tmp_path / "data", "train")) == 5
    assert seen(tmp_path / "data") == ["folder"]


def test_a_set_is_written_by_one_process_at_a_time(tmp_path):
    source, data_dir = write_folder(tmp_path / "source"), tmp_path / "data"
    command = [sys.executable, "-c", SLOW, str(source), str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "writing\n"
            (living,) = data_dir.glob("incomplete.folder@*")
            with pytest.raises(
                ValueError, match=r"folder is being prepared in .* wait"
            ):
                write(tmp_path, source, data_dir)
            assert living.is_dir()
        finally:
            other.kill()
    write(tmp_path, source, data_dir)
    assert seen(data_dir) == ["folder"]


def test_sets_of_other_names_are_written_at_the_same_time(tmp_path):
    source, data_dir = write_folder(tmp_path / "source"), tmp_path / "data"

    def write_another(pictures):
        birds = tfds.core.BuilderConfig(name="birds")
        dataset.write_set(
            lambda place: Folder(data_dir=place, source=str(source), config=birds),
            "folder/birds",
            data_dir,
        )
        return pictures

    write(tmp_path, source, data_dir, progress=write_another)
    assert list(dataset.list_sets(data_dir)) == ["folder", "folder/birds"]


def test_nothing_is_asked_of_the_network(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    write(tmp_path, write_folder(tmp_path / "source"), tmp_path / "data")
    assert len(dataset.open_source("folder", tmp_path / "data", "train")) == 3

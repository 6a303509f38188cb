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

# Writes a dataset until it is killed.
SLOW_WRITER = """
import sys, time
from mst_jax.data import dataset
from mst_jax.data.builders import Folder

def wait(items):
    print("writing", file=sys.__stdout__, flush=True)
    time.sleep(600)
    return items

source, data_dir = sys.argv[1:]
dataset.write_dataset(
    lambda staging: Folder(data_dir=staging, source=source, progress_fn=wait),
    "folder",
    data_dir,
)
"""


def visible_names(folder):
    """Return the names in a folder that are not hidden."""
    return sorted(path.name for path in folder.glob("[!.]*"))


def write_folder_dataset(source, data_dir, **options):
    def make_builder(staging):
        return Folder(data_dir=staging, source=str(source), **options)

    return dataset.write_dataset(make_builder, "folder", data_dir)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("datasets")
    source = write_folder(root / "source", num_images=20)
    write_folder_dataset(source, root / "data")
    return root / "data"


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_as_data_folder_is_one_sentence(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ValueError, match=r"file.* is a file, or lies below one; choose"
    ):
        write_folder_dataset(tmp_path, tmp_path / name)


def test_written_examples_are_read(data_dir):
    prepared = dataset.open_dataset("folder", data_dir, "train")
    assert len(prepared) == 20
    examples = {example.id: example for example in prepared}
    assert sorted(examples) == sorted(f"p{k}" for k in range(20))
    for k in range(20):
        np.testing.assert_array_equal(examples[f"p{k}"].image, IMAGE + np.uint8(k))
        np.testing.assert_array_equal(examples[f"p{k}"].layers, [LABELS])
    np.testing.assert_array_equal(prepared.read_layers(3), [LABELS])
    assert prepared[-1].id == prepared[19].id


def test_ids_are_read_without_decoding_images(data_dir):
    for split in ("train", "train[75%:]"):
        prepared = dataset.open_dataset("folder", data_dir, split)
        assert prepared.read_ids() == [example.id for example in prepared]


def test_split_can_be_sliced(data_dir):
    all_ids, first_ids, last_ids = (
        [example.id for example in dataset.open_dataset("folder", data_dir, split)]
        for split in ("train", "train[:75%]", "train[75%:]")
    )
    assert len(first_ids) == 15 and first_ids + last_ids == all_ids


def test_dataset_can_be_pickled(data_dir):
    prepared = dataset.open_dataset("folder", data_dir, "train[:5]")
    unpickled = pickle.loads(pickle.dumps(prepared))
    assert [e.id for e in unpickled] == [e.id for e in prepared]


def test_index_beyond_the_end_raises_index_error(data_dir):
    prepared = dataset.open_dataset("folder", data_dir, "train")
    for index in (20, -21):
        with pytest.raises(IndexError, match="of 20"):
            prepared[index]


@pytest.mark.parametrize("split", ["test", "train[:", "train[:300%]"])
def test_wrong_split_error_lists_the_splits(split, data_dir):
    with pytest.raises(ValueError, match=r"cannot read split .* train \(\d+ images\)"):
        dataset.open_dataset("folder", data_dir, split)


def test_missing_dataset_error_names_the_command(data_dir, tmp_path):
    with pytest.raises(
        ValueError, match=r"found there: folder\).*mst_jax.prepare grab"
    ):
        dataset.open_dataset("grabcut", data_dir, "test")
    with pytest.raises(ValueError, match="no dataset at all"):
        dataset.open_dataset("grabcut", tmp_path / "nowhere", "test")


def test_datasets_and_splits_are_listed(data_dir):
    assert list(dataset.list_datasets(data_dir)) == ["folder"]
    assert dataset.list_splits("folder", data_dir) == ["train"]


def test_failed_preparation_leaves_nothing(tmp_path):
    source = write_folder(tmp_path / "source")
    (source / "masks" / "p1.png").unlink()
    with pytest.raises(ValueError, match=r"images/p1.png: has no mask masks/p1.png"):
        write_folder_dataset(source, tmp_path / "data")
    assert visible_names(tmp_path / "data") == []


def test_leftovers_of_an_interrupted_preparation_are_hidden_and_removed(tmp_path):
    source = write_folder(tmp_path / "source")
    leftover = tmp_path / "data" / "incomplete.folder@abc" / "folder" / "1.0.0"
    leftover.mkdir(parents=True)
    (leftover / "dataset_info.json").write_text("{}")
    other_staging = tmp_path / "data" / "incomplete.folder+birds@xyz"
    other_staging.mkdir()
    assert dataset.list_datasets(tmp_path / "data") == {}
    write_folder_dataset(source, tmp_path / "data")
    # Another process may still write the other dataset.
    assert visible_names(tmp_path / "data") == ["folder", other_staging.name]


def test_interrupt_keeps_the_older_dataset(tmp_path):
    write_folder_dataset(write_folder(tmp_path / "one"), tmp_path / "data")
    larger_source = write_folder(tmp_path / "two", num_images=5)

    def interrupt(items):
        yield from list(items)[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder_dataset(larger_source, tmp_path / "data", progress_fn=interrupt)
    assert len(dataset.open_dataset("folder", tmp_path / "data", "train")) == 3
    write_folder_dataset(larger_source, tmp_path / "data")
    assert len(dataset.open_dataset("folder", tmp_path / "data", "train")) == 5
    assert visible_names(tmp_path / "data") == ["folder"]


def test_dataset_is_written_by_one_process_at_a_time(tmp_path):
    source, data_dir = write_folder(tmp_path / "source"), tmp_path / "data"
    command = [sys.executable, "-c", SLOW_WRITER, str(source), str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout.readline() == "writing\n"
            (staging,) = data_dir.glob("incomplete.folder@*")
            with pytest.raises(
                ValueError, match=r"folder is being prepared in .* wait"
            ):
                write_folder_dataset(source, data_dir)
            assert staging.is_dir()
        finally:
            writer.kill()
    write_folder_dataset(source, data_dir)
    assert visible_names(data_dir) == ["folder"]


def test_datasets_of_other_names_are_written_at_the_same_time(tmp_path):
    source, data_dir = write_folder(tmp_path / "source"), tmp_path / "data"

    def write_another(items):
        birds = tfds.core.BuilderConfig(name="birds")
        dataset.write_dataset(
            lambda staging: Folder(data_dir=staging, source=str(source), config=birds),
            "folder/birds",
            data_dir,
        )
        return items

    write_folder_dataset(source, data_dir, progress_fn=write_another)
    assert list(dataset.list_datasets(data_dir)) == ["folder", "folder/birds"]


def test_network_is_not_used(tmp_path, monkeypatch):
    def raise_error(*args, **kwargs):
        raise AssertionError("tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", raise_error)
    monkeypatch.setattr(socket, "getaddrinfo", raise_error)
    write_folder_dataset(write_folder(tmp_path / "source"), tmp_path / "data")
    assert len(dataset.open_dataset("folder", tmp_path / "data", "train")) == 3

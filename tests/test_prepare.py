import cv2
import numpy as np
import pytest

from mst_jax.data import dataset
from mst_jax.prepare import main
from tests.data.builders.test_sbd import SPARSE, write_instances, write_sbd
from tests.helpers.image_files import write_folder, write_grabcut


def fails(capsys, *argv):
    """Runs the command, which must end with code 2, and returns what it says."""
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in argv])
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_folders_of_several_names_live_side_by_side(tmp_path, capsys):
    data_dir = str(tmp_path / "data")
    for name, number in (("folder/birds", 3), ("folder", 2)):
        source = write_folder(tmp_path / name.replace("/", "-"), num_pictures=number)
        main([name, "--source", str(source), "--data_dir", data_dir])
    assert list(dataset.list_sets(data_dir)) == ["folder", "folder/birds"]
    assert len(dataset.open_source("folder/birds", data_dir, "train")) == 3
    assert len(dataset.open_source("folder", data_dir, "train")) == 2
    out = capsys.readouterr().out
    assert "folder/birds, split train: 3 pictures, 6 objects in 3 layers" in out
    assert "Downloading" not in out


def test_a_prepared_set_is_kept_unless_it_is_to_be_made_anew(tmp_path, capsys):
    argv = [
        "folder",
        "--source",
        str(tmp_path / "s"),
        "--data_dir",
        str(tmp_path / "d"),
    ]
    main_source = write_folder(tmp_path / "s", num_pictures=1)
    main(argv)
    write_folder(main_source, num_pictures=4)
    main(argv)
    out = capsys.readouterr().out
    assert "already prepared" in out and "--overwrite" in out
    assert len(dataset.open_source("folder", tmp_path / "d", "train")) == 1
    main(["folder", "--data_dir", str(tmp_path / "d")])  # a survey needs no source
    for foreign in (["--size", 9], ["--seed", 1]):
        said = fails(capsys, *argv, *foreign)
        assert f"{foreign[0]} has no meaning for folder; leave it out" in said
    main([*argv, "--overwrite"])
    assert len(dataset.open_source("folder", tmp_path / "d", "train")) == 4


def test_shapes_need_no_source(tmp_path):
    counts = ["--num-train", "2", "--num-validation", "1"]
    look = ["--size", "32", "--seed", "3"]
    main(["shapes", *counts, *look, "--data_dir", str(tmp_path)])
    source = dataset.open_source("shapes", tmp_path, "train")
    assert len(source) == 2 and source[0].image.shape == (32, 32, 3)
    assert np.unique(source[0].layers).size > 1


def test_bad_files_are_listed_or_left_out(tmp_path, capsys):
    source = write_grabcut(tmp_path / "source")
    (source / "boundary_GT" / "one.bmp").unlink()
    argv = ["grabcut", "--source", source, "--data_dir", tmp_path / "data"]
    message = fails(capsys, *argv)
    assert "data_GT/one.bmp: has no mask" in message and "--skip-bad" in message
    assert "Traceback" not in message
    main([str(word) for word in argv] + ["--skip-bad"])
    captured = capsys.readouterr()
    assert "left out 1 bad files:\n  data_GT/one.bmp: has no mask" in captured.err
    assert "1 pictures, 1 objects" in captured.out


def test_a_preview_is_drawn_of_a_new_set_and_of_one_that_is_there(tmp_path, capsys):
    argv = ["grabcut", "--data_dir", str(tmp_path / "data"), "--preview"]
    source = ["--source", str(write_grabcut(tmp_path / "source"))]
    main([*argv, str(tmp_path / "new" / "a.png"), *source])
    main([*argv, str(tmp_path / "b.png")])
    first, second = (tmp_path / "new" / "a.png").read_bytes(), tmp_path / "b.png"
    assert first == second.read_bytes()
    assert cv2.imdecode(np.frombuffer(first, np.uint8), 1).shape[1] > 500
    assert f"drawn in {second}" in capsys.readouterr().out


def test_what_is_left_out_as_it_should_be_is_told(tmp_path, capsys):
    root = write_sbd(tmp_path / "s")
    write_instances(root / "inst" / "2008_000008.mat", SPARSE)
    main(["sbd", "--source", str(root), "--data_dir", str(tmp_path / "d")])
    out = capsys.readouterr().out
    assert "left out as it should be: 1 objects that fill under 8 % of their box" in out
    assert "sbd, split train: 1 pictures" in out and "split val: 2 pictures" in out


def test_variants_are_those_the_set_has(tmp_path, capsys):
    argv = ["--source", tmp_path, "--data_dir", tmp_path / "data"]
    assert "no variant 'tiny'; love_da has ('small'," in fails(
        capsys, "love_da/tiny", *argv
    )


def test_ctrl_c_leaves_one_line_and_no_set(tmp_path, monkeypatch, capsys):
    def stop(pictures):
        yield from list(pictures)[:1]
        raise KeyboardInterrupt

    monkeypatch.setattr("mst_jax.prepare._show_progress", stop)
    argv = ["folder", "--source", str(write_folder(tmp_path / "source"))]
    with pytest.raises(SystemExit) as caught:
        main([*argv, "--data_dir", str(tmp_path / "data")])
    assert caught.value.code == 130
    said = capsys.readouterr().err
    assert said == "prepare: stopped; no half of a set is left behind\n"
    assert not list((tmp_path / "data").glob("[!.]*"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["birds"], "no data set 'birds'; choose from"),
        (["grabcut"], "grabcut needs --source"),
        (
            ["grabcut", "--source", "/nowhere"],
            "looked for /nowhere/data_GT and did not find",
        ),
        (["grabcut/a", "--source", "x"], "grabcut has no variants"),
        (["folder/", "--source", "x"], "'folder/' is no name"),
        (["folder/../x", "--source", "x"], "'folder/../x' is no name"),
        (["shapes", "--source", "x"], "--source has no meaning for shapes"),
        (["folder", "--source", "x", "--size", "9"], "--size has no meaning"),
        (["shapes", "--preview", "/"], "/ is a folder, expected a file to write"),
        (["shapes", "--num-train", "0"], "at least 1, 1, 32 and 0"),
    ],
)
def test_user_errors_are_one_sentence(argv, message, tmp_path, capsys):
    error = fails(capsys, *argv, "--data_dir", tmp_path / "data")
    assert message in error and error.startswith("prepare: ")
    assert error.count("\n") == 1
    assert not list((tmp_path / "data").glob("[!.]*"))

import cv2
import numpy as np
import pytest

from mst_jax.data import dataset
from mst_jax.prepare import main
from tests.helpers.image_files import write_folder, write_grabcut
from tests.helpers.sbd_files import SPARSE_INSTANCES, write_instances, write_sbd


def run_failing(capsys, *argv):
    """Run the command, which must end with code 2, and return its error message."""
    with pytest.raises(SystemExit) as error_info:
        main([str(argument) for argument in argv])
    assert error_info.value.code == 2
    return capsys.readouterr().err


def test_folders_of_several_names_are_separate_data_sets(tmp_path, capsys):
    data_dir = str(tmp_path / "data")
    for dataset_name, num_images in (("folder/birds", 3), ("folder", 2)):
        source = write_folder(
            tmp_path / dataset_name.replace("/", "-"), num_images=num_images
        )
        main([dataset_name, "--source", str(source), "--data-dir", data_dir])
    assert list(dataset.list_datasets(data_dir)) == ["folder", "folder/birds"]
    assert len(dataset.open_dataset("folder/birds", data_dir, "train")) == 3
    assert len(dataset.open_dataset("folder", data_dir, "train")) == 2
    output = capsys.readouterr().out
    assert "folder/birds, split train: 3 images, 6 objects in 3 layers" in output
    assert "Downloading" not in output


def test_a_prepared_set_is_replaced_only_with_overwrite(tmp_path, capsys):
    argv = [
        "folder",
        "--source",
        str(tmp_path / "s"),
        "--data-dir",
        str(tmp_path / "d"),
    ]
    source = write_folder(tmp_path / "s", num_images=1)
    main(argv)
    write_folder(source, num_images=4)
    main(argv)
    output = capsys.readouterr().out
    assert "already prepared" in output and "--overwrite" in output
    assert len(dataset.open_dataset("folder", tmp_path / "d", "train")) == 1
    main(["folder", "--data-dir", str(tmp_path / "d")])  # statistics need no source
    for inapplicable_flag in (["--size", 9], ["--seed", 1]):
        message = run_failing(capsys, *argv, *inapplicable_flag)
        assert (
            f"{inapplicable_flag[0]} does not apply to folder; leave it out" in message
        )
    main([*argv, "--overwrite"])
    assert len(dataset.open_dataset("folder", tmp_path / "d", "train")) == 4


def test_shapes_need_no_source(tmp_path):
    count_flags = ["--num-train", "2", "--num-validation", "1"]
    image_flags = ["--size", "32", "--seed", "3"]
    main(["shapes", *count_flags, *image_flags, "--data_dir", str(tmp_path)])
    source = dataset.open_dataset("shapes", tmp_path, "train")
    assert len(source) == 2 and source[0].image.shape == (32, 32, 3)
    assert np.unique(source[0].layers).size > 1


def test_bad_files_are_listed_or_skipped(tmp_path, capsys):
    source = write_grabcut(tmp_path / "source")
    (source / "boundary_GT" / "one.bmp").unlink()
    argv = ["grabcut", "--source", source, "--data-dir", tmp_path / "data"]
    message = run_failing(capsys, *argv)
    assert "data_GT/one.bmp: has no mask" in message and "--skip-bad" in message
    assert "Traceback" not in message
    main([str(argument) for argument in argv] + ["--skip-bad"])
    captured = capsys.readouterr()
    assert "left out 1 bad files:\n  data_GT/one.bmp: has no mask" in captured.err
    assert "1 images, 1 objects" in captured.out


def test_a_preview_is_drawn_of_new_and_existing_sets(tmp_path, capsys):
    argv = ["grabcut", "--data-dir", str(tmp_path / "data"), "--preview"]
    source = ["--source", str(write_grabcut(tmp_path / "source"))]
    main([*argv, str(tmp_path / "new" / "a.png"), *source])
    main([*argv, str(tmp_path / "b.png")])
    first_preview = (tmp_path / "new" / "a.png").read_bytes()
    second_path = tmp_path / "b.png"
    assert first_preview == second_path.read_bytes()
    assert cv2.imdecode(np.frombuffer(first_preview, np.uint8), 1).shape[1] > 500
    assert f"drawn in {second_path}" in capsys.readouterr().out


def test_what_is_skipped_on_purpose_is_counted(tmp_path, capsys):
    source = write_sbd(tmp_path / "s")
    write_instances(source / "inst" / "2008_000008.mat", SPARSE_INSTANCES)
    main(["sbd", "--source", str(source), "--data-dir", str(tmp_path / "d")])
    output = capsys.readouterr().out
    assert "skipped on purpose: 1 objects that fill under 8 % of their box" in output
    assert "sbd, split train: 1 images" in output and "split val: 2 images" in output


def test_an_unknown_variant_is_an_error(tmp_path, capsys):
    argv = ["--source", tmp_path, "--data-dir", tmp_path / "data"]
    assert "no variant 'tiny'; love_da has ('small'," in run_failing(
        capsys, "love_da/tiny", *argv
    )


def test_ctrl_c_prints_one_line_and_leaves_no_data_set(tmp_path, monkeypatch, capsys):
    def interrupt(images):
        yield from list(images)[:1]
        raise KeyboardInterrupt

    monkeypatch.setattr("mst_jax.prepare._show_progress", interrupt)
    argv = ["folder", "--source", str(write_folder(tmp_path / "source"))]
    with pytest.raises(SystemExit) as error_info:
        main([*argv, "--data-dir", str(tmp_path / "data")])
    assert error_info.value.code == 130
    message = capsys.readouterr().err
    assert message == "stopped; no partial dataset is left\n"
    assert not list((tmp_path / "data").glob("[!.]*"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["birds"], "no dataset 'birds'; choose from"),
        (["grabcut"], "grabcut needs --source"),
        (
            ["grabcut", "--source", "/nowhere"],
            "looked for /nowhere/data_GT and did not find",
        ),
        (["grabcut/a", "--source", "x"], "grabcut has no variants"),
        (["folder/", "--source", "x"], "'folder/' is not a valid name"),
        (["folder/../x", "--source", "x"], "'folder/../x' is not a valid name"),
        (["shapes", "--source", "x"], "--source does not apply to shapes"),
        (["folder", "--source", "x", "--size", "9"], "--size does not apply"),
        (["folder", "--source", "x", "--page", "0"], "--page is 0, expected 1"),
        (["sbd", "--source", "x", "--binarize"], "--binarize does not apply to sbd"),
        (["shapes", "--preview", "/"], "/ is a folder, expected a file to write"),
        (["shapes", "--num-train", "0"], "at least 1, 1, 32 and 0"),
    ],
)
def test_user_errors_are_one_sentence(argv, message, tmp_path, capsys):
    error_text = run_failing(capsys, *argv, "--data-dir", tmp_path / "data")
    assert message in error_text and error_text.startswith("error: ")
    assert error_text.count("\n") == 1
    assert not list((tmp_path / "data").glob("[!.]*"))

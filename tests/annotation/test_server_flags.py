from pathlib import Path

import pytest

from mst_jax.annotation.server_flags import (
    CACHE_DIR,
    check_flags,
    check_separate,
    find_state_dir,
    limits_of,
    make_parser,
)


def parse(*argv: str):
    return make_parser().parse_args(argv)


@pytest.mark.parametrize(
    ("folder", "save"),
    [
        ("photos", "photos"),
        ("photos", "photos/masks"),
        ("photos/more", "photos"),
        ("photos", "link"),
        ("photos", "photos/../photos/masks"),
    ],
)
def test_output_files_never_lie_among_the_images(tmp_path, folder, save):
    (tmp_path / "photos" / "more").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    with pytest.raises(ValueError, match="separate folders"):
        check_separate(tmp_path / folder, tmp_path / save)
    check_separate(tmp_path / "photos", tmp_path / "masks")
    check_separate(tmp_path / "photos", tmp_path / "photos masks")


def test_state_lies_beside_the_output_files():
    assert find_state_dir(parse("--save", "m", "--folder", "f")) == Path("m/.mst_jax")
    assert find_state_dir(parse("--save", "m", "--sessions", "s")) == Path("s")
    assert find_state_dir(parse()) == CACHE_DIR / "sessions"


def test_limits_are_those_of_the_flags():
    limits = limits_of(parse("--max-megapixels", "12.5", "--max-memory=0.5"))
    assert (limits.max_pixels, limits.max_image_bytes) == (12_500_000, 2**29)
    assert limits.expiry_seconds is None
    assert limits_of(parse("--expire-days", "2")).expiry_seconds == 172_800


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--save", "masks"], "--folder"),
        (["--max-sessions", "0"], "--max-sessions"),
        (["--max-memory", "0"], "--max-memory"),
        (["--max-megapixels", "nan"], "--max-megapixels"),
        (["--expire-days", "-1"], "--expire-days"),
        (["--export", "masks.tif"], "--export"),
    ],
)
def test_invalid_flags_are_one_sentence(argv, message):
    with pytest.raises(ValueError, match=message):
        check_flags(parse(*argv))

from pathlib import Path

import pytest

from mst_jax.checkpoints.write_errors import told_shortly


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            ValueError("RESOURCE_EXHAUSTED: Error writing 'a/0.0'\nand so on"),
            "the disk",
        ),
        (OSError(28, "No space left on device"), "the disk is full"),
        (OSError(5, "Input/output error"), r"\[Errno 5\] Input/output error"),
        (ValueError("PERMISSION_DENIED: 'a'\nand so on"), "PERMISSION_DENIED: 'a'"),
    ],
)
def test_the_first_line_says_it(error, why):
    sentence = f"^no checkpoint could be written into runs/a: {why}"
    with pytest.raises(OSError, match=sentence) as caught, told_shortly(Path("runs/a")):
        raise error
    assert "\n" not in str(caught.value)


def test_a_second_ctrl_c_is_no_error():
    with pytest.raises(KeyboardInterrupt), told_shortly(Path("runs/a")):
        raise KeyboardInterrupt

import pytest

from mst_jax.backbones.vit_sizes import SIZES, pick


def test_a_row_and_a_row_with_changes():
    assert pick("base") is not None
    assert pick("base").width == 768
    changed = pick("base", width=96, pyramid=[1, 2, 3, 4])
    assert (changed.width, changed.depth, changed.pyramid) == (96, 12, (1, 2, 3, 4))
    assert SIZES["base"].width == 768


@pytest.mark.parametrize(
    ("size", "every"), [("base", 6), ("large", 6), ("huge", 8), ("tiny", 6)]
)
def test_groups_of_window_blocks(size, every):
    assert pick(size).global_every == every


def test_wrong_names_are_named():
    with pytest.raises(ValueError, match=r"no model size 'big'.*tiny, small, base"):
        pick("big")
    with pytest.raises(ValueError, match="no widht; it has width, depth"):
        pick("base", widht=3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"patch": 0}, "patch of the model is 0, expected whole numbers"),
        ({"depth": 2.5}, "depth of the model is 2.5"),
        ({"pyramid": (8, 8, 8)}, "3 pyramid widths, and 12 heads"),
        ({"width": 20}, "12 heads for width 20"),
    ],
)
def test_numbers_that_cannot_be_are_named(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        pick("base", **changes)

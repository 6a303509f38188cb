import pytest

from mst_jax.backbones.vit_sizes import VIT_SIZES, get_vit_size


def test_size_can_be_changed_without_changing_the_table():
    assert get_vit_size("base") == VIT_SIZES["base"]
    assert get_vit_size("base").width == 768
    changed = get_vit_size("base", width=96, pyramid_widths=[1, 2, 3, 4])
    assert (changed.width, changed.depth) == (96, 12)
    assert changed.pyramid_widths == (1, 2, 3, 4)
    assert VIT_SIZES["base"].width == 768


@pytest.mark.parametrize(
    ("size", "group_length"), [("base", 6), ("large", 6), ("huge", 8), ("tiny", 6)]
)
def test_groups_of_window_blocks(size, group_length):
    assert get_vit_size(size).global_every == group_length


def test_unknown_names_raise():
    with pytest.raises(ValueError, match=r"no model size 'big'.*tiny, small, base"):
        get_vit_size("big")
    with pytest.raises(ValueError, match="no widht; it has width, depth"):
        get_vit_size("base", widht=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": 0}, "patch_size of the model is 0, expected whole numbers"),
        ({"depth": 2.5}, "depth of the model is 2.5"),
        ({"pyramid_widths": (8, 8, 8)}, "3 pyramid widths, and 12 heads"),
        ({"width": 20}, "12 heads for width 20"),
    ],
)
def test_impossible_values_raise(changes, message):
    with pytest.raises(ValueError, match=message):
        get_vit_size("base", **changes)

import pytest

from mst_jax.models.build import MODELS
from mst_jax.models.recipes import CHANGES, CLICKS, EPOCHS, LOSSES, training_of


def test_every_recipe_of_the_table_has_a_training():
    for table in (LOSSES, CHANGES, CLICKS, EPOCHS):
        assert set(table) == set(MODELS)


def test_the_published_numbers_of_adaptiveclick():
    """60 epochs of 30,000 pictures, 48 a batch; the rate falls after epoch 40."""
    training = training_of("adaptiveclick", pictures=30_000)
    assert (training["batch"], training["steps"]) == (48, 37_500)
    assert training["optimizer"]["learning_rate"] == 5e-5
    assert training["optimizer"]["milestones"] == (2 / 3,)
    # 0.3 / 0.4 / 0.3 of the weights 2 / 5 / 5 of class, mask and dice.
    assert training["losses"] == {
        "query_class": 0.3 * 2,
        "query_adaptive_focal": 0.4 * 5,
        "query_dice": 0.3 * 5,
    }


def test_the_published_numbers_of_mst():
    training = training_of("mst", pictures=60)
    assert (training["batch"], training["steps"]) == (60, 90)
    assert training["optimizer"]["milestones"] == (60 / 90, 80 / 90)
    assert training["clicks"]["no_click_prob"] == 0.01
    assert training["losses"] == dict(
        normalized_focal=1.0, token_contrast=1.0, token_score=1.0
    )


def test_two_configs_do_not_share_a_block():
    one, other = (training_of("mst", pictures=60) for _ in range(2))
    one["losses"]["dice"] = one["changes"]["scale"] = 3
    assert "dice" not in other["losses"] and other["changes"]["scale"] == (0.5, 1.5)


def test_an_unknown_recipe_is_named():
    with pytest.raises(ValueError, match="no model 'sam'; choose one of simpleclick"):
        training_of("sam", pictures=1)


def test_the_published_augmentations():
    """On SBD flips, quarter turns and small tilts; MST's, of COCO+LVIS, mirrors alone."""
    for model in ("simpleclick", "adaptiveclick"):
        assert training_of(model, pictures=60)["changes"] == dict(
            scale=(0.75, 1.25),
            symmetry="all",
            shift=0.03,
            rotate=3.0,
            brightness=0.25,
            contrast=(-0.15, 0.4),
            rgb_shift=10,
        )
    assert training_of("mst", pictures=60)["changes"] == dict(
        scale=(0.5, 1.5), brightness=0.3, contrast=(-0.2, 0.5), rgb_shift=20
    )


def test_the_published_optimizers():
    for model, name, rate in (
        ("simpleclick", "adam", 5e-5),
        ("mst", "adamw", 5e-6),
        ("adaptiveclick", "adam", 5e-5),
    ):
        optimizer = training_of(model, pictures=60)["optimizer"]
        assert (optimizer["name"], optimizer["learning_rate"]) == (name, rate)
        assert (optimizer["decay"], optimizer["betas"]) == ("steps", (0.9, 0.999))

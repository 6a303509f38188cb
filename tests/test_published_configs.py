"""The training hyper-parameters of the published models."""

import pytest

from configs.published import (
    MODEL_AUGMENTATION,
    MODEL_CLICKS,
    MODEL_LOSSES,
    MODEL_OPTIMIZERS,
    TRAINING_LENGTHS,
    published_training,
)
from mst_jax.models.build import MODEL_RECIPES


def test_every_model_has_a_training():
    for table in (
        MODEL_LOSSES,
        MODEL_AUGMENTATION,
        MODEL_CLICKS,
        MODEL_OPTIMIZERS,
        TRAINING_LENGTHS,
    ):
        assert set(table) == set(MODEL_RECIPES)


def test_published_values_of_adaptiveclick():
    """60 epochs of 30,000 images, batch 48; the learning rate falls after epoch 40."""
    training = published_training("adaptiveclick", num_images=30_000)
    assert (training["batch"], training["steps"]) == (48, 37_500)
    assert training["optimizer"]["learning_rate"] == 5e-5
    assert training["optimizer"]["milestones"] == (2 / 3,)
    # 0.3 / 0.4 / 0.3 of the weights 2 / 5 / 5 of class, mask and dice.
    assert training["losses"] == {
        "query_class": 0.3 * 2,
        "query_adaptive_focal": 0.4 * 5,
        "query_dice": 0.3 * 5,
    }


def test_published_values_of_mst():
    training = published_training("mst", num_images=60)
    assert (training["batch"], training["steps"]) == (60, 90)
    assert training["optimizer"]["milestones"] == (60 / 90, 80 / 90)
    assert training["clicks"]["no_click_prob"] == 0.01
    assert training["losses"] == dict(
        normalized_focal=1.0, token_contrast=1.0, token_score=1.0
    )


def test_two_configs_do_not_share_a_block():
    first, second = (published_training("mst", num_images=60) for _ in range(2))
    first["losses"]["dice"] = first["augmentation"]["scale"] = 3
    assert "dice" not in second["losses"]
    assert second["augmentation"]["scale"] == (0.5, 1.5)


def test_an_unknown_model_is_named():
    with pytest.raises(ValueError, match="no model 'sam'; choose one of simpleclick"):
        published_training("sam", num_images=1)


def test_published_augmentations():
    """On SBD flips, quarter turns and small rotations; MST's has mirrors only."""
    for model in ("simpleclick", "adaptiveclick"):
        assert published_training(model, num_images=60)["augmentation"] == dict(
            scale=(0.75, 1.25),
            symmetry="all",
            shift=0.03,
            rotate=3.0,
            brightness=0.25,
            contrast=(-0.15, 0.4),
            rgb_shift=10,
        )
    assert published_training("mst", num_images=60)["augmentation"] == dict(
        scale=(0.5, 1.5), brightness=0.3, contrast=(-0.2, 0.5), rgb_shift=20
    )


def test_published_optimizers():
    for model, name, learning_rate in (
        ("simpleclick", "adam", 5e-5),
        ("mst", "adamw", 5e-6),
        ("adaptiveclick", "adam", 5e-5),
    ):
        optimizer = published_training(model, num_images=60)["optimizer"]
        assert (optimizer["name"], optimizer["learning_rate"]) == (name, learning_rate)
        assert (optimizer["schedule"], optimizer["betas"]) == ("steps", (0.9, 0.999))

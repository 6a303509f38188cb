from concurrent.futures import ThreadPoolExecutor

import jax
import jax.monitoring
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from mst_jax.annotation.serving.engine import Engine, Scene, Shown
from mst_jax.inference.click_session import Click
from mst_jax.inference.predictor import Predictor
from mst_jax.models.load import TrainedModel, load
from mst_jax.models.mst import mst
from tests.helpers.analytic_network import bumps
from tests.helpers.annotation_client import IMAGE, VIEW
from tests.helpers.small_checkpoint import write_checkpoint
from tests.inference.test_selected_tokens import SMALL
from tests.models.test_simpleclick import drawn_params

CLICKS = (Click(20, 42, True), Click(50, 75, True), Click(3.5, 4, False))
same = np.testing.assert_array_equal


def click(engine: Engine, scene: Scene, clicks: tuple[Click, ...]) -> list[Shown]:
    """How an object stands after each click."""
    shown = [engine.blank(scene)]
    for number in range(len(clicks)):
        seen = engine.ask(scene, clicks[: number + 1], shown[-1])
        shown.append(engine.show(scene, seen))
    return shown[1:]


@pytest.mark.parametrize(
    "view", [VIEW, VIEW | {"zoom": None, "mirror": False}], ids=str
)
def test_clicks_make_the_masks_of_the_predictor(view):
    engine, predictor = Engine(bumps, **view), Predictor(bumps, **view)
    predictor.set_image(IMAGE)
    scene = engine.open(IMAGE)
    for one, shown in zip(CLICKS, click(engine, scene, CLICKS), strict=True):
        same(shown.mask, predictor.click(*one))
        prob = np.asarray(shown.prob)[0, :60, :84]
        np.testing.assert_allclose(prob, predictor.prob, atol=1e-5)


def test_a_loaded_mask_is_corrected_as_by_the_predictor(engine):
    mask = np.zeros((60, 84), bool)
    mask[10:30, 20:50] = True
    predictor = Predictor(bumps, **VIEW)
    predictor.set_image(IMAGE)
    same(engine.loaded(engine.open(IMAGE), mask).mask, predictor.load_mask(mask))
    scene = engine.open(IMAGE)
    seen = engine.ask(scene, CLICKS[:1], engine.loaded(scene, mask))
    same(engine.show(scene, seen).mask, predictor.click(*CLICKS[0]))


def test_no_click_waits_for_a_compiler(engine):
    engine.compile((60, 84))
    compiled = []

    def note(name: str, seconds: float, **rest: object) -> None:
        if "backend_compile" in name:
            compiled.append(name)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        scenes = [engine.open(np.roll(IMAGE, k, axis=0)) for k in range(11)]
        clicks = tuple(Click(20.0 + k, 40.0, True) for k in range(8))
        with ThreadPoolExecutor(11) as pool:
            together = list(pool.map(lambda s: click(engine, s, clicks), scenes))
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
    assert compiled == []
    for scene, shown in zip(scenes, together, strict=True):
        for got, want in zip(shown, click(engine, scene, clicks), strict=True):
            np.testing.assert_allclose(got.prob, want.prob, atol=1e-5)


def test_another_size_compiles_no_network_again():
    engine = Engine(bumps, **VIEW)
    engine.expect((60, 84), (200, 84))
    assert engine.missing == 4 + 2 and engine.compiled == []
    engine.prepare(60, 84)
    assert engine.compiled == ["1 at once", "pictures up to 128x128"]
    engine.compile((60, 84), (200, 84))
    assert engine.missing == 0 and len(engine.compiled) == 6
    engine.prepare(128, 250)
    assert engine.compiled[-1] == "pictures up to 128x256"


def test_a_view_that_does_not_suit_the_model_is_refused(tmp_path):
    model = load(write_checkpoint(tmp_path / "model"))
    with pytest.raises(ValueError, match="patch"):
        Engine(model, zoom=33)
    engine = Engine(model, zoom=None)
    assert engine.suits(32, 48) and not engine.suits(33, 48)


def test_the_tokens_are_those_of_the_predictor():
    module = mst(**SMALL)
    config = {"model": {"name": "mst", "size": "nano"}}
    config["evaluation"] = {"zoom": 32, "zoom_min_side": 8}
    model = TrainedModel(drawn_params(module), module, FrozenConfigDict(config))
    engine, predictor = (make(model, mirror=False) for make in (Engine, Predictor))
    assert engine.has_tokens and engine.name == "mst nano"
    predictor.set_image(IMAGE)
    scene, num_tokens = engine.open(IMAGE), 0
    for number, shown in enumerate(click(engine, scene, CLICKS)):
        predictor.click(*CLICKS[number])
        tokens = engine.tokens(scene, CLICKS[: number + 1], shown)
        for got, want in zip(tokens, predictor.chosen()[-1], strict=True):
            num_tokens += len(want.boxes)
            np.testing.assert_allclose(got.boxes, want.boxes, atol=1e-4)
            np.testing.assert_allclose(got.scores, want.scores, atol=1e-4)
    assert num_tokens > 0

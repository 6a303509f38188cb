import numpy as np
import pytest

from mst_jax.annotation.limits import Refused
from mst_jax.annotation.sessions.history import Moment
from mst_jax.annotation.sessions.rendering import Canvas
from mst_jax.annotation.sessions.storage import SessionFolder
from mst_jax.data.formats.images import encode_png
from mst_jax.inference.click_session import Click
from tests.helpers.annotation_client import IMAGE

CLICKS = (Click(20, 42, True), Click(50, 75, True), Click(3.5, 4, False))
same = np.testing.assert_array_equal


@pytest.fixture
def folder(tmp_path):
    folder = SessionFolder(tmp_path / "session")
    folder.write_picture(encode_png(IMAGE))
    return folder


@pytest.fixture
def canvas(folder, engine):
    return Canvas(folder, engine, 1)


def test_a_moment_is_the_same_after_a_restart(canvas, folder, engine):
    moment = canvas.after(Moment(), CLICKS)
    shown = canvas.show(moment)
    again = Canvas(folder, engine, canvas.next_file).show(moment)
    assert np.asarray(again.prob).tobytes() == np.asarray(shown.prob).tobytes()
    same(again.region, shown.region)
    same(again.mask, shown.mask)
    assert moment.area == shown.mask.sum() > 0


def test_clicks_at_once_are_clicks_one_after_the_other(canvas):
    moment = Moment()
    for click in CLICKS:
        moment = canvas.after(moment, (click,))
    at_once = canvas.after(Moment(), CLICKS)
    assert at_once.clicks == moment.clicks == CLICKS
    same(canvas.show(at_once).prob, canvas.show(moment).prob)


def test_a_mask_is_kept_and_corrected(canvas):
    mask = np.zeros((60, 84), bool)
    mask[10:30, 20:50] = True
    moment = canvas.keep(mask)
    assert moment == canvas.start(moment.loaded) and moment.area == 600
    same(canvas.show(moment).mask, mask)
    after = canvas.after(moment, CLICKS[:1])
    assert after.loaded == moment.loaded
    assert (
        canvas.show(after).prob != canvas.show(canvas.after(Moment(), CLICKS[:1])).prob
    ).any()


def test_what_cannot_be_is_refused(canvas):
    with pytest.raises(Refused, match="empty"):
        canvas.keep(np.zeros((60, 84), bool))
    with pytest.raises(Refused, match="no tokens"):
        canvas.tokens(Moment())

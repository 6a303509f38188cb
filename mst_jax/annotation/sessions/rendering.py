"""A picture on the device, and the arrays of its objects on disk."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool

from mst_jax.annotation.limits import Refused
from mst_jax.annotation.serving.engine import Engine, Seen, Shown
from mst_jax.annotation.sessions.history import Moment
from mst_jax.annotation.sessions.storage import SessionFolder
from mst_jax.data.formats import images
from mst_jax.inference.click_session import Click
from mst_jax.inference.selected_tokens import Cells


class Canvas:
    """Makes moments of objects, and shows them as they were, bit by bit.

    What the network said is kept as it said it, at the size that it saw: pasting that
    into the picture again gives the same probabilities, and takes no network.

    Attributes:
        height: of the picture.
        width: of the picture.
        next_file: number of the next array.
    """

    def __init__(self, folder: SessionFolder, engine: Engine, next_file: int) -> None:
        """Opens the picture of a session; compiles what its size needs."""
        pixels = images.decode_picture(folder.read_picture())
        self.height, self.width = pixels.shape[:2]
        self.next_file = next_file
        engine.prepare(self.height, self.width)
        self._folder, self._engine = folder, engine
        self._scene = engine.open(pixels)
        self._last: tuple[Moment, Shown] = (Moment(), engine.blank(self._scene))

    def start(self, loaded: int | None) -> Moment:
        """The moment before the first click: nothing, or the mask of this number."""
        if loaded is None:
            return Moment()
        area = int(self._folder.read_mask(loaded).sum())
        return Moment(loaded=loaded, area=area)

    def after(self, moment: Moment, clicks: Iterable[Click]) -> Moment:
        """The moment after more clicks, one after the other, kept on disk."""
        made, shown, seen = moment.clicks, self.show(moment), None
        for click in clicks:
            made = (*made, click)
            seen = self._engine.ask(self._scene, made, shown)
            shown = self._engine.show(self._scene, seen)
        if seen is None:
            return moment
        number = self._count()
        self._folder.write_patch(number, seen.patch)
        region = tuple(seen.region.tolist())
        area = int(shown.mask.sum())
        after = Moment(made, moment.loaded, number, region, area)
        self._last = (after, shown)
        return after

    def keep(self, mask: Bool[np.ndarray, "h w"]) -> Moment:
        """The moment of a mask from elsewhere, kept on disk; Refused if it is empty."""
        if not mask.any():
            raise Refused("the mask is empty, expected an object; reset it instead")
        number = self._count()
        self._folder.write_mask(number, mask)
        return Moment(loaded=number, area=int(mask.sum()))

    def show(self, moment: Moment) -> Shown:
        """A moment as it was; the one shown last is at hand."""
        if moment != self._last[0]:
            self._last = (moment, self.read(moment))
        return self._last[1]

    def read(self, moment: Moment) -> Shown:
        """A moment as it was, from disk."""
        if moment.seen is not None:
            patch = self._folder.read_patch(moment.seen)
            region = np.array(moment.region, np.int32)
            return self._engine.show(self._scene, Seen(patch, region))
        if moment.loaded is not None:
            mask = self._folder.read_mask(moment.loaded)
            return self._engine.loaded(self._scene, mask)
        return self._engine.blank(self._scene)

    def tokens(self, moment: Moment) -> tuple[Cells, Cells]:
        """Fine and coarse tokens that the model looks at now; Refused if there are none."""
        if not self._engine.has_tokens:
            raise Refused("this model chooses no tokens", 404)
        if not moment.clicks:
            raise Refused("there is no click yet, so no token is chosen", 404)
        return self._engine.tokens(self._scene, moment.clicks, self.show(moment))

    def _count(self) -> int:
        self.next_file += 1
        return self.next_file - 1

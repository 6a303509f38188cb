"""One picture, its objects, and what a user does to them."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import SupportsFloat

import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from mst_jax.annotation.files.export_formats import Export, Named
from mst_jax.annotation.limits import Limits, Refused
from mst_jax.annotation.serving.engine import Engine
from mst_jax.annotation.sessions.autosave import Saved
from mst_jax.annotation.sessions.history import Drawn, Moment
from mst_jax.annotation.sessions.rendering import Canvas
from mst_jax.annotation.sessions.storage import SessionFolder
from mst_jax.inference.click_session import Click
from mst_jax.inference.selected_tokens import Cells

COLOURS = ("#2c82ff", "#ff9f1c", "#2ec4b6", "#e71d36", "#9b5de5", "#8ac926", "#f15bb5")
"""Of the objects whose colour the user does not choose, in turn."""


class Session:
    """What one user does to one picture; every action is on disk when it returns.

    Threads may call at once; the actions of a session happen one after the other.

    Attributes:
        id: its name in addresses.
        name: of the picture.
        source: file in the folder that is served; "" for a picture that was sent.
        objects: by number.
        lock: held during an action; hold it for several that belong together.
    """

    def __init__(
        self,
        id: str,
        folder: SessionFolder,
        engine: Engine,
        limits: Limits,
        saved: Saved | None = None,
    ) -> None:
        """Opens what the folder holds; compiles what its size of picture needs.

        Args:
            id: of the session.
            folder: that it lives in.
            engine: the model.
            limits: what is refused.
            saved: where finished objects of pictures with a source are saved besides.
        """
        state = folder.read_state()
        self.id, self.name, self.source = id, state["name"], state["source"]
        self.objects = {one["number"]: Drawn.from_json(one) for one in state["objects"]}
        self._next_object = state["next_object"]
        self._folder, self._limits = folder, limits
        self._saved = saved if self.source else None
        self.lock = threading.RLock()
        self._canvas = Canvas(folder, engine, state["next_file"])

    @staticmethod
    def write(folder: SessionFolder, picture: bytes, *, name: str, source: str) -> None:
        """Writes a session without objects into an empty folder."""
        folder.write_picture(picture)
        folder.write_state(
            dict(name=name, source=source, objects=[], next_object=1, next_file=1)
        )

    @property
    def height(self) -> int:
        """Of the picture."""
        return self._canvas.height

    @property
    def width(self) -> int:
        """Of the picture."""
        return self._canvas.width

    @property
    def picture(self) -> bytes:
        """JPEG or PNG, as it is seen."""
        return self._folder.read_picture()

    def object(self, number: int) -> Drawn:
        """An object; Refused (404) if there is none of that number."""
        self._check_alive()
        if number not in self.objects:
            raise Refused(f"this picture has no object {number}", 404)
        return self.objects[number]

    def add_saved(self) -> None:
        """Takes the objects that were saved of this picture by an earlier session."""
        if self._saved is None:
            return
        with self.lock:
            for one in self._saved.read(self.name, self.height, self.width):
                colour = one.colour or _colour_of(one.number)
                moments = (self._canvas.keep(one.mask),)
                drawn = Drawn(one.number, one.name, colour, True, moments)
                self._next_object = max(self._next_object, one.number + 1)
                self.objects[one.number] = drawn
            self._write()

    def add(self, name: str | None = None, colour: str | None = None) -> Drawn:
        """A new object without clicks."""
        with self.lock:
            self._check_alive()
            self._check_room(1)
            number = self._next_object
            self._next_object += 1
            name, colour = name or f"object {number}", colour or _colour_of(number)
            return self._keep(Drawn(number, name, colour))

    def change(self, number: int, **changes: object) -> Drawn:
        """Gives an object another name or colour, or finishes it, or does not."""
        with self.lock:
            return self._keep(dataclasses.replace(self.object(number), **changes))

    def remove(self, number: int) -> None:
        """Removes an object; its number is not given again."""
        with self.lock:
            gone = self.object(number)
            del self.objects[number]
            self._write()
            self._folder.forget(gone.files())
            if gone.finished:
                self._save()

    def click(
        self, number: int, row: SupportsFloat, column: SupportsFloat, positive: bool
    ) -> Drawn:
        """A click on an object, or beside it: a new mask."""
        with self.lock:
            drawn = self.object(number)
            click = Click(float(row), float(column), positive)
            self._check_click(click)
            present = drawn.present
            if len(present.clicks) >= self._limits.clicks:
                raise Refused(
                    f"the object has {len(present.clicks)} clicks and takes no more; "
                    "correct its mask with the brush, or send it as a mask"
                )
            return self._then(drawn, self._canvas.after(present, (click,)))

    def remove_click(self, number: int, index: int) -> Drawn:
        """Makes all clicks but one, the others in their order: a new mask."""
        with self.lock:
            drawn = self.object(number)
            clicks = drawn.present.clicks
            if not 0 <= index < len(clicks):
                raise Refused(f"object {number} has no click {index}", 404)
            start = self._canvas.start(drawn.present.loaded)
            clicks = clicks[:index] + clicks[index + 1 :]
            return self._then(drawn, self._canvas.after(start, clicks))

    def load(self, number: int, mask: Bool[np.ndarray, "h w"]) -> Drawn:
        """A mask in place of an object's clicks; the next click corrects it.

        Args:
            number: of the object.
            mask: of the picture's size.
        """
        with self.lock:
            drawn = self.object(number)
            return self._then(drawn, self._canvas.keep(mask))

    def load_labels(self, labels: UInt16[np.ndarray, "h w"]) -> list[Drawn]:
        """Every value above 0 becomes an object with that mask."""
        with self.lock:
            values = np.unique(labels[labels > 0])
            if not values.size:
                raise Refused("the label map is 0 everywhere, expected objects")
            self._check_room(values.size)
            return [self.load(self.add().number, labels == value) for value in values]

    def undo(self, number: int) -> Drawn:
        """Takes an object's last action back; without one nothing changes."""
        with self.lock:
            return self._keep(self.object(number).undo())

    def redo(self, number: int) -> Drawn:
        """Does again what was taken back last; if nothing was nothing changes."""
        with self.lock:
            return self._keep(self.object(number).redo())

    def reset(self, number: int) -> Drawn:
        """Begins an object anew: no clicks, no mask; can be taken back."""
        with self.lock:
            return self._then(self.object(number), Moment())

    def mask(self, number: int) -> Bool[np.ndarray, "h w"]:
        """The mask of an object."""
        with self.lock:
            return self._canvas.show(self.object(number).present).mask

    def probability(self, number: int) -> UInt8[np.ndarray, "h w"]:
        """How sure the network is of each pixel, 0 to 255."""
        with self.lock:
            prob = np.asarray(self._canvas.show(self.object(number).present).prob)[0]
        return np.rint(255 * prob[: self.height, : self.width]).astype(np.uint8)

    def tokens(self, number: int) -> tuple[Cells, Cells]:
        """Fine and coarse tokens that the model looks at now, given clicks and mask."""
        with self.lock:
            return self._canvas.tokens(self.object(number).present)

    def export(self, *, finished_only: bool = False) -> Export:
        """What there is to export; hold the lock while it is used."""

        def objects() -> Iterator[Named]:
            for drawn in self.objects.values():
                if drawn.present.area and (drawn.finished or not finished_only):
                    mask = self._canvas.read(drawn.present).mask
                    yield Named(drawn.number, drawn.name, drawn.colour, mask)

        size = self.height, self.width
        return Export(self.name, self.picture, *size, objects, self._state())

    def end(self) -> None:
        """Removes it from the disk; later actions are refused."""
        with self.lock:
            self._folder.remove()

    def _check_alive(self) -> None:
        if not self._folder.exists:
            raise Refused("this session is gone; open the picture again", 404)

    def _check_click(self, click: Click) -> None:
        in_rows = 0 <= click.row < self.height
        if not (in_rows and 0 <= click.column < self.width):
            raise Refused(
                f"the click at x {click.column:g}, y {click.row:g} lies outside the "
                f"picture of {self.width}x{self.height} pixels"
            )

    def _check_room(self, num_more: int) -> None:
        if len(self.objects) + num_more > self._limits.objects:
            raise Refused(
                f"a picture takes {self._limits.objects} objects and has "
                f"{len(self.objects)}; remove some"
            )

    def _then(self, drawn: Drawn, moment: Moment) -> Drawn:
        return self._keep(drawn.then(moment, most=self._limits.moments))

    def _keep(self, drawn: Drawn) -> Drawn:
        """Puts an object in the place of what it was, on disk too."""
        before = self.objects.get(drawn.number, drawn)
        self.objects[drawn.number] = drawn
        self._write()
        self._folder.forget(before.files() - drawn.files())
        if before.finished or drawn.finished:
            self._save()
        return drawn

    def _save(self) -> None:
        if self._saved is not None:
            self._saved.write(self.export(finished_only=True))

    def _write(self) -> None:
        self._folder.write_state(self._state())

    def _state(self) -> dict:
        return dict(
            name=self.name,
            source=self.source,
            objects=[dataclasses.asdict(one) for one in self.objects.values()],
            next_object=self._next_object,
            next_file=self._canvas.next_file,
        )


def _colour_of(number: int) -> str:
    return COLOURS[(number - 1) % len(COLOURS)]

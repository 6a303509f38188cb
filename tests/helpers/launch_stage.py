"""The launch scripts with other people's commands replaced by actors."""

import os
import stat
import subprocess
from pathlib import Path

LAUNCH = Path(__file__).parents[2] / "launch"

# Writes down how it was called, then says and does what the next line of its part asks.
ACTOR = """#!/usr/bin/env bash
name=${0##*/}
{ printf '%s' "$name"; (($#)) && printf '\\37%s' "$@"; echo; } >>"$STAGE/calls"
part=$STAGE/$name.part
[[ -e $part ]] && read -r code words <"$part" && sed -i 1d "$part"
[[ -z $words ]] || echo "$words"
exit "${code:-0}"
"""


class Stage:
    """A folder of actors, first on the PATH."""

    def __init__(self, folder: Path, *actors: str) -> None:
        self.folder = folder
        for name in actors:
            actor = folder / name
            actor.write_text(ACTOR)
            actor.chmod(stat.S_IRWXU)

    def part(self, actor: str, *lines: str) -> None:
        """Exit codes of the next calls, each with words to print if it has some."""
        (self.folder / f"{actor}.part").write_text("".join(f"{x}\n" for x in lines))

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "STAGE": str(self.folder), "PATH": path, "TMPDIR": "/t"}

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(LAUNCH / command[0]), *command[1:]],
            cwd=LAUNCH.parent,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def calls(self) -> list[list[str]]:
        """The words of every call so far."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.split("\37") for line in lines]

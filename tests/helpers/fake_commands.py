"""Fakes of the commands that the launch scripts call, such as gcloud and sbatch."""

import os
import stat
import subprocess
from pathlib import Path

LAUNCH = Path(__file__).parents[2] / "launch"

# Logs its arguments; then exits as the next line of its results says, with code and
# output.
FAKE = """#!/usr/bin/env bash
name=${0##*/}
{ printf '%s' "$name"; (($#)) && printf '\\37%s' "$@"; echo; } >>"$FAKES/calls"
results=$FAKES/$name.results
[[ -e $results ]] && read -r code words <"$results" && sed -i 1d "$results"
[[ -z $words ]] || echo "$words"
exit "${code:-0}"
"""


class FakeCommands:
    """A folder of fake commands, first on the PATH of the scripts."""

    def __init__(self, folder: Path, *commands: str) -> None:
        self.folder = folder
        for command in commands:
            path = folder / command
            path.write_text(FAKE)
            path.chmod(stat.S_IRWXU)

    def set_results(self, command: str, *lines: str) -> None:
        """Set the exit codes of the next calls, each with optional output."""
        path = self.folder / f"{command}.results"
        path.write_text("".join(f"{line}\n" for line in lines))

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of a script that finds the fakes."""
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "FAKES": str(self.folder), "PATH": path, "TMPDIR": "/t"}

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess:
        """Run a launch script with its flags and further environment variables."""
        return subprocess.run(
            [str(LAUNCH / words[0]), *words[1:]],
            cwd=LAUNCH.parent,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def calls(self) -> list[list[str]]:
        """The words of every call of a fake so far."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.split("\37") for line in lines]

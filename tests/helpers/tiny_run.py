"""The training command on drawn scenes, with a model and a run that take seconds."""

import json
import re
from pathlib import Path

from mst_jax import prepare

CONFIG = Path(__file__).with_name("tiny_config.py")

# What a clock or a meter says is never the same twice.
MEASURED = re.compile("second|waiting|memory|utili[sz]ation|flop|mfu")


def draw_scenes(folder: Path) -> Path:
    sizes = ["--num-train", "6", "--num-validation", "2", "--size", "48"]
    prepare.main(["shapes", "--data_dir", str(folder), *sizes])
    return folder


def make_command(data_dir: Path, workdir: Path, *changes: str) -> list[str]:
    values = [f"data.data_dir={data_dir}", *changes]
    flags = [f"--config.{value}" for value in values]
    return ["--config", str(CONFIG), "--workdir", str(workdir), *flags]


def metrics(workdir: Path) -> list[dict]:
    """The lines of the log, but for what was measured."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [
        {
            key: value
            for key, value in json.loads(line).items()
            if not MEASURED.search(key)
        }
        for line in lines
    ]

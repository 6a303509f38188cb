"""The commands of README and docs exist, and take the flags and keys that they show."""

import importlib
import re
import shlex

import pytest

from mst_jax import __main__ as dispatcher
from mst_jax.reporting.prepared_run import READER_BLOCKS
from mst_jax.training.config import check_config, read_config
from tests.helpers.hidden_modules import ROOT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "launch/*.md", "colab/*.md")
    for path in ROOT.glob(pattern)
)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SHELL_OPERATORS = {"|", "||", "&&", ";", ">", "&"}


def shell_blocks(text):
    """Return the blocks of shell commands: those without a language, or of a shell."""
    return re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", text, re.DOTALL | re.M)


def shell_commands(block):
    """Return the words of each command, with the variables of the block replaced."""
    variables, commands = {}, []
    for line in block.replace("\\\n", " ").splitlines():
        for name, value in variables.items():
            line = line.replace(f"${name}", value)
        assignment = re.fullmatch(r'([A-Z]+)="(.*)"', line)
        if assignment:
            variables[assignment[1]] = assignment[2]
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # prose or a drawing
            continue
        ends = [i for i, word in enumerate(words) if word in SHELL_OPERATORS]
        commands.append(words[: ends[0]] if ends else words)
    return commands


def documented_commands():
    """Return the words of every command, each once, and its page."""
    pages = {}
    for page in PAGES:
        for block in shell_blocks(page.read_text()):
            for words in shell_commands(block):
                pages.setdefault(tuple(words), page.relative_to(ROOT))
    return pages


COMMANDS = documented_commands()


def commands_after(*prefix):
    """Return the words that follow a prefix, after variables of the environment."""
    found = []
    for words in COMMANDS:
        for start in range(len(words) - len(prefix) + 1):
            if words[start : start + len(prefix)] == prefix:
                found.append(words[start + len(prefix) :])
    return found


def module_commands():
    for rest in commands_after("python", "-m"):
        module, *words = rest
        package, _, name = module.partition(".")
        if package == "mst_jax" and name in dispatcher.COMMANDS:
            yield name, words


MODULE_COMMANDS = sorted((name, " ".join(w), w) for name, w in module_commands())


def test_commands_of_all_kinds_are_found():
    assert {name for name, _, _ in MODULE_COMMANDS} == set(dispatcher.COMMANDS)
    assert len(MODULE_COMMANDS) > 40 and len(commands_after("make")) > 8


@pytest.mark.parametrize(
    ("name", "words"),
    [pytest.param(name, w, id=f"{name} {text}") for name, text, w in MODULE_COMMANDS],
)
def test_command_takes_what_a_page_shows(name, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    parser = importlib.import_module(f"mst_jax.{name}").make_parser()
    if name != "train":
        parser.parse_args(words)
        return
    flags, config_words = parser.parse_known_args(words)
    config = read_config(
        ["--config", flags.config, *config_words], reader_blocks=READER_BLOCKS
    )
    if config.epochs:  # needs the dataset
        config.update(steps=100, epochs=None)
    check_config(config)


def test_make_has_the_targets():
    targets = [word for words in commands_after("make") for word in words[:1]]
    assert {target for target in targets if "=" not in target} <= TARGETS


def test_scripts_exist():
    scripts = [
        word
        for words in COMMANDS
        for word in words
        if re.fullmatch(
            r"(benchmarks|tools|launch|docs|examples)/[\w/]+\.(py|sh)", word
        )
    ]
    assert len(scripts) > 10
    assert [path for path in scripts if not (ROOT / path).is_file()] == []

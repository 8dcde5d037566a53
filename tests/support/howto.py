"""Runs what a howto shows, in the order in which it stands there and in this process: a command costs no start."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from typer.testing import CliRunner

from tidegate.cli import app

HOWTOS = Path(__file__).parents[2] / "docs/howto"
SHOWN = re.compile(r"```(\w*)\n(.*?)```|`(tidegate [^`]+)`", re.DOTALL)


class Block(NamedTuple):
    """A block of a howto; `language` is empty for commands. A command within a sentence is a block of its own."""

    language: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """The arguments of each `tidegate` that it shows."""
        lines = self.text.replace("\\\n", " ").splitlines() if not self.language else []
        return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("tidegate ")]


def blocks(name: str) -> Iterator[Block]:
    """The blocks of a howto, in order."""
    for found in SHOWN.finditer((HOWTOS / name).read_text()):
        yield Block("", found[3]) if found[3] else Block(found[1], found[2])


class Reader:
    """Somebody who types what a howto shows. `instead`: words as they have to be here, such as ids and tokens; one that
    is a function is asked when the word comes.
    """

    def __init__(self, instead: Mapping[str, str | Callable[[], str]]) -> None:
        self.instead = dict(instead)
        self._token = ""

    def types(self, command: list[str], codes: tuple[int, ...] = (0,)) -> str:
        """Runs a command, as with no terminal, and returns what it says."""
        words = [given() if callable(given := self.instead.get(word, word)) else given for word in command]
        done = CliRunner().invoke(app, words)
        assert done.exit_code in codes, (words, done.output, done.exception)
        told = done.stdout or done.stderr
        if found := re.search(r"--token (\w+)", told):
            self._token = found[1]
        return told

    def token(self) -> str:
        """The token that was told last."""
        return self._token

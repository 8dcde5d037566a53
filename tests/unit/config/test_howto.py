"""What the howto on mapping shows is understood by the commands, and its file is one that can be read."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from tidegate.cli import app
from tidegate.workflows.config_sections import read

HOWTO = (Path(__file__).parents[3] / "docs/howto/map-your-prices.md").read_text()
COMMANDS = re.findall(r"^tidegate (.+?)(?:\s+#.*)?$", HOWTO, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_howto_takes_what_is_shown(line: str) -> None:
    group, arguments = get_command(app), shlex.split(line)
    context = group.make_context("tidegate", list(arguments), resilient_parsing=False)
    name, command, rest = group.resolve_command(context, arguments)  # pyright: ignore[reportAttributeAccessIssue]
    inner = command.make_context(name, list(rest), parent=context)
    name, command, rest = command.resolve_command(inner, list(rest))
    command.make_context(name, list(rest), parent=inner)


def test_the_file_of_the_howto_can_be_read() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", HOWTO, re.DOTALL)
    found = read(text, "howto", {})
    assert (len(found.features or ()), len(found.packages or ()), len(found.mappings or ())) == (2, 2, 2)

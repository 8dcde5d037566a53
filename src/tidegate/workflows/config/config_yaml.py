"""YAML in and out: plain values with the line of each, `{env: NAME}` filled in, and entries written one to a line.

YAML 1.2: `on` and `no` are text, as a person expects.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from tidegate.errors import CatalogInvalid, ConfigInvalid

Path = tuple[str | int, ...]

NO_YAML = (YAMLError, ValueError, RecursionError)
"""What reading YAML raises: also of a day that there is not, such as 2026-02-30, and of what is nested too deep."""
DEEPEST = 40


class FromEnvironment(str):
    """Text that `{env: NAME}` was replaced by."""


@dataclass(slots=True)
class Document:
    """What a file says: plain values, the line (from 1) on which each stands, and the variable that it came from, by
    its path.
    """

    file: str
    values: Any = None
    lines: dict[Path, int] = field(default_factory=dict[Path, int])
    variables: dict[Path, str] = field(default_factory=dict[Path, str])

    def wrong(self, path: Path, problem: str) -> ConfigInvalid:
        """An error about a place, or about the nearest one around it that the file has."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known)
        return ConfigInvalid(file=self.file, problem=f"line {line}: {problem}" if line else problem)


def load(text: str, file: str, environment: Mapping[str, str]) -> Document:
    """Reads a YAML file. Raises ConfigInvalid, with the line, for what is no YAML, for a key that stands twice, and
    for a variable that the environment lacks.
    """
    found = Document(file)
    yaml: Any = YAML(typ="safe", pure=True)
    try:
        node: Node | None = yaml.compose(io.StringIO(text))
    except MarkedYAMLError as wrong:
        error: Any = wrong
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigInvalid(file=file, problem=f"{line}{error.problem or error.context}") from wrong
    except YAMLError as error:
        raise ConfigInvalid(file=file, problem=" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ConfigInvalid(file=file, problem="this is nested too deep.") from error
    if node is not None:
        found.values = _Reader(found, yaml, environment).read(node, ())
    return found


def value_of(given: str, where: str) -> tuple[str, Any]:
    """`key=YAML` as a key and a value. Raises CatalogInvalid."""
    key, equals, said = given.partition("=")
    yaml: Any = YAML(typ="safe", pure=True)
    try:
        value = yaml.load(said)
    except NO_YAML as error:
        raise CatalogInvalid(problem=f"{where} {given!r}: what follows = is no YAML.") from error
    if not equals or not key:
        raise CatalogInvalid(problem=f"{where} {given!r}: say KEY=VALUE.")
    return key, value


def dump(values: Mapping[str, Any]) -> str:
    """A file with these sections; what stands in a list is one line each."""
    yaml: Any = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    shown: Any = CommentedMap()
    for name, section in values.items():
        shown[name] = [_flat(one) for one in section] if isinstance(section, list) else _flat(section)  # pyright: ignore[reportUnknownVariableType]
    out = io.StringIO()
    yaml.dump(shown, out)
    return out.getvalue() if values else ""


def _flat(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    flat: Any = CommentedMap({name: _quoted(one) for name, one in value.items()})  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    flat.fa.set_flow_style()
    return flat


def _quoted(value: Any) -> Any:
    """The value with quotes about text that would be read as the beginning of a key: `{unit: ?0}`."""
    if isinstance(value, Mapping):
        return {name: _quoted(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return [_quoted(one) for one in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return DoubleQuotedScalarString(value) if isinstance(value, str) and value.startswith("?") else value


class _Reader:
    """Turns composed nodes into plain values, noting the lines."""

    def __init__(self, document: Document, yaml: Any, environment: Mapping[str, str]) -> None:
        self._document = document
        self._scalar = yaml.constructor
        self._environment = environment

    def read(self, node: Node, path: Path) -> Any:
        self._document.lines[path] = _line(node)
        if len(path) > DEEPEST:
            raise self._document.wrong(path, "this is nested too deep, or contains itself.")
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(one, (*path, at)) for at, one in enumerate(_children(node))]
        assert isinstance(node, ScalarNode)
        try:
            return self._scalar.construct_object(node)
        except ValueError as error:
            said = str(_children(node))[:40]
            problem = f"{said!r} is no value that there can be ({error}); as a text it stands in quotes."
            raise self._document.wrong(path, problem) from error

    def _mapping(self, node: MappingNode, path: Path) -> Any:
        values: dict[str, Any] = {}
        for key_node, value_node in _children(node):
            key = self.read(key_node, path)
            if not isinstance(key, str):
                raise self._document.wrong(path, f"the key {key!r} is no text; put it in quotes.")
            self._document.lines[path] = _line(key_node)
            if key in values:
                raise self._document.wrong(path, f"{key} stands here twice.")
            values[key] = self.read(value_node, (*path, key))
        self._document.lines[path] = _line(node)
        if set(values) == {"env"} and isinstance(values["env"], str):
            return self._from_environment(values["env"], path)
        return values

    def _from_environment(self, name: str, path: Path) -> str:
        if name not in self._environment:
            said = ".".join(str(part) for part in path)
            raise self._document.wrong(path, f"{said} is to come from the environment, which has no {name}.")
        self._document.variables[path] = name
        return FromEnvironment(self._environment[name])


def _children(node: Any) -> Sequence[Any]:
    return node.value


def _line(node: Any) -> int:
    return node.start_mark.line + 1

"""What people type as YAML: a condition, an action; and how such a thing is written for them to change."""

from collections.abc import Mapping
from typing import Any

from tidegate.errors import ConfigInvalid
from tidegate.workflows.config.config_yaml import dump, load


def typed(text: str) -> tuple[Any, str]:
    """What the text says (None: nothing), and what is wrong with it; no variable of the environment is read."""
    try:
        return load(text, "", {}).values, ""
    except ConfigInvalid as error:
        return None, str(error.facts["problem"])


def written(said: Mapping[str, Any] | None) -> str:
    """The same as a text; of nothing an empty one. A test stands on one line."""
    if said and said.keys() & {"field", "condition"}:
        return dump({"when": said}).removeprefix("when:").strip()
    return dump(said).rstrip() if said else ""

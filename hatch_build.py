"""Lets a build of the package build the page's assets first, so that every wheel and sdist contains them."""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class AssetsHook(BuildHookInterface[Any]):
    """Runs tools/assets.py; an sdist that already carries valid assets needs no network."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files; `version` is "standard" or "editable"."""
        script = Path(self.root) / "tools/assets.py"
        found = importlib.util.spec_from_file_location("tidegate_assets", script)
        assert found is not None
        assert found.loader is not None
        assets = importlib.util.module_from_spec(found)
        found.loader.exec_module(assets)
        assets.build()

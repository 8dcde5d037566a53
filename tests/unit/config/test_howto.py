"""The file that the howto on mapping shows is one that can be read."""

import re
from pathlib import Path

from tidegate.workflows.config.config_sections import read

HOWTO = (Path(__file__).parents[3] / "docs/howto/map-your-prices.md").read_text()


def test_the_file_of_the_howto_can_be_read() -> None:
    *_, text = re.findall(r"```yaml\n(.*?)```", HOWTO, re.DOTALL)
    found = read(text, "howto", {})
    assert (len(found.features or ()), len(found.packages or ()), len(found.mappings or ())) == (2, 2, 2)

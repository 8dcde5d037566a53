"""Processes that decide for a plan end with the one that made them, also where that is killed."""

import subprocess
import sys
from pathlib import Path

from tests.support.waiting import until

MAKES = """
import os, time
from tidegate.workflows.outbound import processes

if __name__ == "__main__":
    with processes.pool(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(600)
"""


def test_a_pool_whose_maker_is_killed_ends(tmp_path: Path) -> None:
    file = tmp_path / "makes.py"
    file.write_text(MAKES)
    with subprocess.Popen([sys.executable, file], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        child = Path(f"/proc/{maker.stdout.readline().strip()}")
        assert child.exists()
        maker.kill()
    until(lambda: not child.exists() or "State:\tZ" in (child / "status").read_text(), "the end of its process")

"""A rotation of the secret key that is killed, at whichever step, leaves every secret readable."""

from pathlib import Path

from sqlalchemy import Engine
from tests.support import killing
from tests.support.sealed import CREDENTIALS, readable, store

from tidegate.secrets import KeyFile, open_vault
from tidegate.workflows.operation.rotate_secrets import rotate_secrets


def test_killed_at_every_step_all_secrets_can_be_read_and_the_next_rotation_clears_up(
    database_url: str, engine: Engine, tmp_path: Path, run: killing.Run
) -> None:
    at_work = open_vault("", tmp_path)
    store(engine, at_work)
    steps = run("rotate", **_arguments(database_url, tmp_path)).steps
    seen: set[int] = set()
    for place in range(1, steps + 1):
        before = KeyFile(tmp_path).keys()
        ended = run("rotate", place, **_arguments(database_url, tmp_path))
        where = f"killed at step {place} of {steps}: {ended.last}"
        assert ended.killed, where
        seen.add(len(KeyFile(tmp_path).keys()))
        assert readable(engine, open_vault("", tmp_path)) == CREDENTIALS, where
        assert readable(engine, at_work) == CREDENTIALS, where
        rotate_secrets(engine, "", tmp_path, "cli:test")
        keys = KeyFile(tmp_path).keys()
        assert len(keys) == 1, where
        assert keys[0] not in before, where
        assert readable(engine, open_vault("", tmp_path)) == CREDENTIALS, where
    assert seen == {1, 2}, "it was killed with the old key alone, with both, and with the new one"


def _arguments(database_url: str, home: Path) -> dict[str, str]:
    return {"database_url": database_url, "secret_key": "", "home": str(home)}

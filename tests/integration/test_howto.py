"""What "connect a Stripe account" shows works, block by block, as a new user types it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet

from tidegate.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
HOWTO = (ROOT / "docs/howto/connect-an-account.md").read_text()
BLOCK = re.compile(r"^( *)```\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
KEY = "sk_test_51TidegateSandboxOpenKey00000000"


def blocks() -> list[str]:
    """The howto's blocks of commands, in order; the connection that `connect` names by itself is `test`."""
    return [found[2].replace("--name NAME", "--name test") for found in BLOCK.finditer(HOWTO)]


@pytest.fixture
def shell(tmp_path: Path, fresh_database_url: str) -> Callable[..., str]:
    """Runs a block in a shell that stops at the first command that fails. It is no terminal: nothing is asked."""
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "TIDEGATE_HOME": str(tmp_path),
        "DATABASE_URL": fresh_database_url,
        "TIDEGATE_SECRET_KEY": Fernet.generate_key().decode(),
        "STRIPE_API_KEY": KEY,
        "KEY": KEY,
        "SECRET": "whsec_howto",
    }

    def run(block: str, **more: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", block],
            env=environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}{done.stderr}{done.stdout}"
        return done.stdout

    return run


def _lift_the_pace(url: str) -> None:
    """The sandbox stands more requests a second than Stripe."""
    with psycopg.connect(url) as db:
        db.execute("update tidegate.connections set rate = 0, endpoint_rate = 0")


@pytest.mark.wide
def test_what_the_howto_shows_works(
    shell: Callable[..., str], make_sandbox: Callable[..., Sandbox], fresh_database_url: str
) -> None:
    sandbox = make_sandbox(customers=15, months=2, connected=1)
    connect, read, webhooks, platform = blocks()
    assert "as test." in shell(connect, TIDEGATE_STRIPE_API_BASE=sandbox.url)
    _lift_the_pace(fresh_database_url)
    assert "as of " in shell(read)
    assert "is equal to Stripe" in shell("tidegate audit")
    assert "as test." in shell(webhooks)
    assert "1 accounts use its key" in shell(f"{platform.strip()} --yes", TIDEGATE_STRIPE_API_BASE=sandbox.url)
    assert "is equal to Stripe" in shell("tidegate catch-up --connection test; tidegate audit --connection test")

"""The API does what its own description says, whatever is sent to it: schemathesis asks every operation."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from httpx import get
from tests.support.importing import imported
from tests.support.live import Live
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.api.examples import BODIES
from tidegate.security import tokens
from tidegate.wiring import Hub

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further

LEFT_OUT = ("/api/integrations/stripe/connect",)
"""What asks the hosts that are named to it: none but this machine's are asked by tests."""
NOT_ASKED = "positive_data_acceptance"
"""That all that fits the schema is taken: no schema says that a key is new, or that of two fields one is given."""
OF_HEADERS = ("Idempotency-Key", "If-Match")
"""Left out where everything is asked: most requests would be refused for them, and nothing else of them be seen."""
SETTINGS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", 502, 503]
[checks.negative_data_rejection]
expected-statuses = ["4xx"]
"""
"""A source, a destination or Stripe that does not answer is no fault of ours; what is, is answered with 500. What does
not fit may be refused for its `If-Match` before it is looked at.
"""


@pytest.fixture
def url(hub: Hub, make_sandbox: Callable[..., "Sandbox"], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("tidegate.api.integration.START_SECONDS", 0.01)
    monkeypatch.setattr("tidegate.workflows.outbound.sync_asking.START_SECONDS", 0.01)
    live = Live(hub, make_sandbox(customers=3, months=1))
    imported(hub, live.account)
    with serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url:
        yield url


def described(url: str, *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the API says of itself, without some parameters."""
    said = get(f"{url}/api/openapi.json", timeout=60).json()
    for operations in said["paths"].values():
        for operation in operations.values():
            kept = [one for one in operation.get("parameters", ()) if one["name"] not in but]
            operation["parameters"] = kept
    return said


def check(hub: Hub, url: str, folder: Path, said: dict[str, Any], *options: str) -> None:
    with hub.engine.begin() as db:
        _, token = tokens.create(db, "schemathesis", ["admin", "entitlements"])
    (folder / "openapi.json").write_text(json.dumps(said))
    (folder / "schemathesis.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", "openapi.json"]
    command += ["--url", url, "-H", f"Authorization: Bearer {token}", "--exclude-checks", NOT_ASKED, "--seed", "1"]
    command += ["--warnings", "off", *(f"--exclude-path={path}" for path in LEFT_OUT), *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_api_does_what_it_says(hub: Hub, url: str, tmp_path: Path) -> None:
    asked = described(url, but=OF_HEADERS)
    check(hub, url, tmp_path, asked, "--max-examples", "1", "--phases", "examples,fuzzing")


@pytest.mark.wide
@pytest.mark.timeout(900)
def test_the_api_does_what_it_says_of_many_requests(hub: Hub, url: str, tmp_path: Path) -> None:
    check(hub, url, tmp_path, described(url, but=OF_HEADERS), "--max-examples", "10")


@pytest.mark.wide
def test_conditions_and_keys_are_what_they_are_said_to_be(hub: Hub, url: str, tmp_path: Path) -> None:
    paths = ("/api/packages/{key}", "/api/alert-route", "/api/contacts/{contact}/notes")
    options = ("--max-examples", "2", "--phases", "coverage,fuzzing")
    check(hub, url, tmp_path, described(url), *options, *(f"--include-path={path}" for path in paths))


def test_each_body_has_an_example_that_fits(url: str) -> None:
    said = described(url)
    bodies = {
        f"{method.upper()} {path}": operation["requestBody"]["content"]["application/json"]
        for path, operations in said["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }
    assert set(bodies) == set(BODIES)
    for operation, body in bodies.items():
        jsonschema.validate(body["example"], {**body["schema"], "components": said["components"]})
        assert body["example"] == BODIES[operation]


def test_each_operation_says_its_scope_and_how_it_fails(url: str) -> None:
    for path, operations in described(url)["paths"].items():
        for method, operation in operations.items():
            failures = [int(status) for status in operation["responses"] if int(status) >= 400]
            assert operation["description"], path
            if path.startswith("/api/") and "webhooks" not in path:
                assert {401, 403, 404, 422, 503} <= set(failures), (method, path)
                assert all(len(one["HTTPBearer"]) == 1 for one in operation["security"]), (method, path)

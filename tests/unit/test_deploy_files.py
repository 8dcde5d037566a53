"""The files to deploy with name commands, options and settings that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from ruamel.yaml import YAML

from tidegate.cli import app
from tidegate.settings import Settings, variable

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "deploy/compose.yaml")
OURS = {name: one for name, one in COMPOSE["services"].items() if name != "postgres"}
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
SETTINGS = {variable(name) for name in Settings.model_fields}


def refused(arguments: list[str]) -> str:
    """Why the command line would not take these; empty: it would."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("tidegate", arguments[:1], resilient_parsing=True) as whole:
            found = command.get_command(whole, arguments[0])  # pyright: ignore
            assert found is not None, arguments
            found.make_context(arguments[0], arguments[1:], parent=whole)
    except Exception as error:
        return f"{arguments}: {error!r}"
    return ""


def commands() -> list[list[str]]:
    """Every `tidegate …` that the files start."""
    said = [one["command"] for one in OURS.values()]
    for unit in UNITS:
        said += [line.split()[1:] for line in re.findall(r"^Exec\w+=(.*)$", unit.read_text(), re.M)]
    docker = re.findall(r'^CMD \["(serve.*)"\]', (ROOT / "Dockerfile").read_text(), re.M)
    return [*said, *(one.split('", "') for one in docker)]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_a_command_is_one_that_there_is(arguments: list[str]) -> None:
    assert refused(arguments) == ""


def test_what_there_is_not_would_be_found() -> None:
    assert refused(["serve", "--no-such-option"])


def test_every_variable_is_a_setting() -> None:
    named = {name for one in OURS.values() for name in one["environment"]}
    named |= set(re.findall(r"^(?:Environment=)?([A-Z_]+)=", (ROOT / "deploy/systemd/tidegate.env").read_text(), re.M))
    named |= set(re.findall(r"^ *(?:ENV )?(TIDEGATE_[A-Z_]+)=", (ROOT / "Dockerfile").read_text(), re.M))
    assert named <= SETTINGS
    assert {"DATABASE_URL", "TIDEGATE_SECRET_KEY", "TIDEGATE_PUBLIC_URL"} <= named


def test_everything_that_the_image_is_built_from_is_sent_to_it() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"pyproject.toml", "uv.lock", "hatch_build.py", "README.md", "src", "frontend", "tools"} <= kept
    assert all((ROOT / name).exists() for name in kept)


def test_web_and_workers_are_apart_and_wait_for_the_schema() -> None:
    assert "--no-worker" in OURS["web"]["command"]
    assert OURS["worker"]["deploy"]["replicas"] == 2
    for name in ("web", "worker"):
        assert OURS[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_the_proxy_in_front_of_the_containers_is_believed() -> None:
    """It comes in by the gateway of their network, which has to be one that is named; see `trusted_proxies`."""
    [network] = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert OURS["web"]["environment"]["TIDEGATE_TRUSTED_PROXIES"] == network["subnet"]
    default = network["subnet"].removeprefix("${PROXY_NETWORK:-").removesuffix("}")
    assert Settings(trusted_proxies=default).proxies == ["172.31.84.0/24"]

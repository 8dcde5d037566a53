"""Where settings come from."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tidegate.settings import Settings, variable


def test_settings_come_from_the_environment_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/hub")
    monkeypatch.setenv("TIDEGATE_HOME", "/srv/hub")
    monkeypatch.setenv("TIDEGATE_PORT", "9000")
    found = Settings()
    assert (found.database_url, found.home, found.port) == ("postgresql://db/hub", Path("/srv/hub"), 9000)
    assert not found.embedded


@pytest.mark.parametrize("name", ["HOME", "HOST", "PORT", "LOG_LEVEL"])
def test_what_others_keep_in_the_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    plain = Settings()
    monkeypatch.setenv(name, "/nowhere")
    assert Settings() == plain


def test_every_setting_has_a_name_in_the_environment() -> None:
    names = {field: variable(field) for field in Settings.model_fields}
    assert names["database_url"] == "DATABASE_URL"
    assert names["stripe_api_key"] == "STRIPE_API_KEY"
    assert names["import_readers"] == "TIDEGATE_IMPORT_READERS"


@pytest.mark.parametrize(
    ("given", "believed"),
    [
        ("10.0.0.7, 172.16.0.0/12,,2001:db8::/32", ["10.0.0.7", "172.16.0.0/12", "2001:db8::/32"]),
        ("", []),
    ],
)
def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch, given: str, believed: list[str]) -> None:
    monkeypatch.setenv("TIDEGATE_TRUSTED_PROXIES", given)
    assert Settings().proxies == believed


@pytest.mark.parametrize("given", ["*", "proxy.internal", "10.0.0.7/8", "127.0.0.1 10.0.0.7"])
def test_what_no_request_comes_from_is_no_proxy(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """`*` would believe everybody's word of where they come from; a network with bits of a host would match nothing."""
    monkeypatch.setenv("TIDEGATE_TRUSTED_PROXIES", given)
    with pytest.raises(ValidationError, match="addresses and networks"):
        Settings()

"""Where settings come from."""

from pathlib import Path

import pytest

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

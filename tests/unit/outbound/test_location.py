"""Where sources are: paths and secrets of URLs."""

from pathlib import Path

import pytest

from tidegate.outbound.sources.location import has_secret, path, resolved, scheme, without_secret


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:geheim@host:5432/db?sslmode=require", "postgresql://me:…@host:5432/db?sslmode=require"),
        ("postgresql://me:ge%40h@h/db", "postgresql://me:…@h/db"),
        ("databricks://token:dapi@host/path?http_path=/sql/1", "databricks://token:…@host/path?http_path=/sql/1"),
        ("snowflake://me@account/db?private_key=abc&role=x", "snowflake://me@account/db?private_key=…&role=x"),
        ("mysql://host/db?password=geheim", "mysql://host/db?password=…"),
        ("clickhouse://me:p@[::1]:8123/db", "clickhouse://me:…@[::1]:8123/db"),
    ],
)
def test_a_secret_is_seen_and_hidden(url: str, shown: str) -> None:
    assert has_secret(url)
    assert without_secret(url) == shown
    assert not has_secret(without_secret(shown.replace("…", "")))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@host/db",
        "postgresql://host/db",
        "duckdb:///data/a b.duckdb",
        "bigquery://project/dataset",
        "tidegate://",
        "/exports/a:b@c",
        "file:///exports",
        "postgresql://me:@host/db",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(url: str) -> None:
    assert not has_secret(url)
    assert without_secret(url) == url


def test_paths_are_absolute_or_beside_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b.duckdb").touch()
    there = tmp_path / "a b.duckdb"
    monkeypatch.chdir(tmp_path)
    for url in (f"duckdb://{tmp_path}/a%20b.duckdb", f"duckdb:///{tmp_path}/a%20b.duckdb", "duckdb:///a%20b.duckdb"):
        assert path(url).resolve() == there
        assert resolved(url) == f"duckdb://{tmp_path}/a%20b.duckdb"
    assert resolved("a b.duckdb") == str(there)
    assert resolved("duckdb:///nowhere.duckdb") == "duckdb:///nowhere.duckdb"
    assert resolved("postgresql://host/db") == "postgresql://host/db"
    assert (scheme("PostgreSQL://x"), scheme("/exports"), scheme("")) == ("postgresql", "", "")

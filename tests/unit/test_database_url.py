"""DATABASE_URL: what is wrong with one is told, and no part of its password."""

import pytest

from tidegate.errors import ConfigurationError
from tidegate.store.engine import open_engine, shown

SECRET = "s3cret"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@127.0.0.1/x",
        f"postgresql://me:p@{SECRET}@127.0.0.1/x",
        f"postgresql://me@127.0.0.1/x?password={SECRET}&sslpassword={SECRET}",
        f"postgresql://me:{SECRET}@127.0.0.1:port/x",
        SECRET,
    ],
)
def test_no_part_of_a_password_is_shown(url: str) -> None:
    assert SECRET not in shown(url)


def test_the_rest_is_shown() -> None:
    assert shown("postgres://me@db.example:6432/x?sslmode=require") == (
        "postgresql://me@db.example:6432/x?sslmode=require"
    )


def test_an_unescaped_at_sign_is_told_without_the_password() -> None:
    with pytest.raises(ConfigurationError, match="%40") as raised:
        open_engine(f"postgresql://me:p@{SECRET}@127.0.0.1:1/x")
    assert SECRET not in str(raised.value)

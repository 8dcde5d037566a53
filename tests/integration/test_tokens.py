"""API tokens in the database: shown once, kept as a digest, refused once revoked."""

import hashlib

import pytest
from sqlalchemy import Engine, select, text

from tidegate.errors import ScopeUnknown, TokenUnknown
from tidegate.security import tokens
from tidegate.security.tables import tokens as table


def test_a_created_token_is_recognised_and_only_its_digest_is_kept(engine: Engine) -> None:
    with engine.begin() as db:
        token_id, token = tokens.create(db, "ci", ["operate", "entitlements"])
    with engine.begin() as db:
        found = tokens.verify(db, token)
        row = db.execute(select(table).where(table.c.id == token_id)).mappings().one()
    assert token.startswith("tg_")
    assert len(token) == 46
    assert found is not None
    assert (found.id, found.name, found.scopes) == (token_id, "ci", ("entitlements", "operate"))
    assert row["digest"] == hashlib.sha256(token.encode()).digest()
    assert token not in str(dict(row))


@pytest.mark.parametrize("text_given", ["", "tg_", "tg_" + "x" * 43, "\ud800", "tg_\x00"])
def test_other_texts_are_no_token(engine: Engine, text_given: str) -> None:
    with engine.begin() as db:
        assert tokens.verify(db, text_given) is None


def test_a_revoked_token_is_refused_and_still_listed(engine: Engine) -> None:
    with engine.begin() as db:
        token_id, token = tokens.create(db, "old", ["read"])
        assert tokens.revoke(db, token_id).revoked_at is not None
        assert tokens.verify(db, token) is None
        assert token_id in [one.id for one in tokens.listing(db)]
        with pytest.raises(TokenUnknown):
            tokens.revoke(db, token_id)


def test_use_is_noted_at_most_once_a_minute(engine: Engine) -> None:
    with engine.begin() as db:
        token_id, token = tokens.create(db, "busy", ["read"])
        tokens.verify(db, token)

    def last_used(db_text: str = "") -> object:
        with engine.begin() as db:
            if db_text:
                db.execute(text(db_text), {"id": token_id})
            tokens.verify(db, token)
            return db.scalar(select(table.c.last_used_at).where(table.c.id == token_id))

    first = last_used()
    assert first is not None
    assert last_used() == first
    assert last_used("update tidegate.tokens set last_used_at = now() - interval '61 seconds' where id = :id") > first  # pyright: ignore[reportOperatorIssue]


@pytest.mark.parametrize("scopes", [["root"], ["read", "Admin"], []])
def test_unknown_scopes_are_named(engine: Engine, scopes: list[str]) -> None:
    with engine.begin() as db, pytest.raises(ScopeUnknown, match="entitlements, revenue, read, operate, admin"):
        tokens.create(db, "typo", scopes)

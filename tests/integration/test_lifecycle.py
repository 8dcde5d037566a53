"""Stages of a simulated company: everybody is in exactly one, each move has its reason, and packages are those held."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.support.importing import imported
from tests.support.live import Live

from tidegate.wiring import Hub
from tidegate.workflows import lifecycle
from tidegate.workflows.refresh import refresh_changed

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


def kept(live: Live) -> lifecycle.Kept:
    refresh_changed(live.hub.engine, live.account)
    return lifecycle.keep(live.hub.engine, as_of=datetime.fromtimestamp(live.now, UTC))


def stages(live: Live) -> Counter[str]:
    return Counter(
        row.stage for row in live.rows("select coalesce(stage, '') as stage from tidegate.contact_lifecycle")
    )


@pytest.fixture
def company(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    """Imported, its customers all contacts."""
    live = Live(hub, make_sandbox(customers=60, months=14))
    live.run(
        "insert into tidegate.contact_settings (connection, settings) values (:c, cast(:s as jsonb))",
        c=live.name,
        s='{"create_missing": true}',
    )
    imported(hub, live.account)
    return live


def test_everybody_is_in_one_stage_and_history_says_why(company: Live) -> None:
    first = kept(company)
    contacts = company.one("select count(*) from tidegate.contacts where merged_into is null")
    assert contacts > 30
    assert first.moved == contacts
    print(stages(company))
    rows: Any = company.rows("select * from tidegate.memberships where kind = 'stage'")
    assert len(rows) == contacts
    assert all(row.reasons for row in rows)
    again = kept(company)
    assert (again.facts, again.moved) == (0, 0)
    print(rows[:5])
    print([dict(x) for x in company.rows("select * from tidegate.contact_lifecycle limit 3")])

"""Stages of a simulated company: everybody is in exactly one, each move has its reason, and packages are those held."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.support.importing import imported
from tests.support.live import Live

from tidegate.catalog import snapshot
from tidegate.entitlements import holders
from tidegate.entitlements.answers import packages
from tidegate.lifecycle import due
from tidegate.wiring import Hub
from tidegate.workflows.demo.demo_contacts import accept_suggestions
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.refresh import refresh_changed

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


def kept(live: Live) -> lifecycle.Kept:
    refresh_changed(live.hub.engine, live.account)
    return lifecycle.keep(live.hub.engine, as_of=datetime.fromtimestamp(live.now, UTC))


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


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


def test_everybody_is_in_one_stage_and_time_alone_moves_some(company: Live) -> None:
    first = kept(company)
    contacts = company.one("select count(*) from tidegate.contacts where merged_into is null")
    assert contacts > 30
    assert first.moved == contacts
    rows = company.rows("select reasons from tidegate.memberships where kind = 'stage' and left_at is null")
    assert len(rows) == contacts
    assert all(row.reasons for row in rows)
    found = {row.stage for row in company.rows("select distinct stage from tidegate.contact_lifecycle")}
    assert found > {"customer", "trial", "churned", "at_risk"}
    again = kept(company)
    assert (again.facts, again.healths, again.moved, again.opened) == (0, 0, 0, 0)
    later = lifecycle.keep(company.hub.engine, as_of=datetime.fromtimestamp(company.now + 90 * 86_400, UTC))
    assert (later.contacts, later.facts) == (0, 0)
    assert later.opened > 0  # renewals, trials and cards come closer though nothing happens


@pytest.mark.wide
def test_the_packages_of_conditions_are_those_that_entitlements_say(company: Live) -> None:
    """Two ways to the same answer: one for a contact that asks, one for all at once."""
    live = company
    kept(live)
    accept_suggestions(live.hub.engine, live.account)
    first = "(select min(key) from tidegate.packages where kind = 'base')"
    live.run(f"update tidegate.packages set is_default = true where key = {first}")
    as_of = datetime.fromtimestamp(live.now, UTC)
    with live.hub.engine.begin() as db:
        due.note_all(db)
    lifecycle.keep(live.hub.engine, as_of=as_of)
    kept_ = {row.contact: row.packages for row in live.rows("select contact, packages from tidegate.contact_lifecycle")}
    with live.hub.engine.connect() as db:
        catalog = snapshot.load(db)
        held = holders.load(db, list(kept_), as_of, features=())
        told = {
            key: sorted({one["package"] for one in packages([holder], catalog, as_of)}) for key, holder in held.items()
        }
    assert kept_ == told
    assert len({tuple(one) for one in kept_.values()}) > 3

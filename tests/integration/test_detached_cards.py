"""A detached payment method: Stripe shows it by its id only, the mirror has a tombstone, however it learnt of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.support.builders import event
from tests.support.importing import differences, imported
from tests.support.live import Live

from tidegate.wiring import Hub
from tidegate.workflows.mirror.ingest_events import handle_events

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


@pytest.fixture
def live_cards(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    """A company whose cards are imported."""
    live = Live(hub, make_sandbox(customers=3, months=1))
    imported(hub, live.account, "payment_methods")
    return live


def detach(live: Live, *, told: bool) -> str:
    """Detaches a card and returns its id; without its event unless `told`."""
    from tidegate.sandbox import customers

    state = live.sandbox.state

    def work() -> str:
        card = state["payment_methods"].ids[0]
        before, state.events_from = state.events_from, state.events_from if told else state.now + 1
        customers.detach(live.sandbox.world, card)
        state.events_from = before
        return card

    return live.sandbox.call(work)


@pytest.mark.parametrize("told", [True, False], ids=["with an event", "without a word"])
def test_a_detached_card_leaves_a_tombstone(hub: Hub, make_sandbox: Callable[..., "Sandbox"], told: bool) -> None:
    live = Live(hub, make_sandbox(customers=5, months=2))
    imported(hub, live.account)
    live.catch_up()
    live.sandbox.advance(60)
    card = detach(live, told=told)
    live.sandbox.advance(120)
    live.catch_up()
    live.drain()
    gone = "select count(*) from stripe.payment_methods where id = :card and deleted_at is not null"
    if not told:
        assert live.one(gone, card=card) == 0
        (found,) = live.audit("payment_methods")["resources"]
        assert found["counts"]["vanished"] == 1
        imported(hub, live.account, "payment_methods", full=True)
    assert live.one(gone, card=card) == 1
    assert differences(hub, live.sandbox) == {}
    (found,) = live.audit("payment_methods")["resources"]
    assert found["verdict"] == "equal"


def test_a_look_that_was_asked_for_before_does_not_bring_it_back(live_cards: Live) -> None:
    """Stripe answers it with the detached card, later than the event that told of it: what the event said holds."""
    live = live_cards
    card = live.full("payment_methods")
    live.sandbox.advance(10)
    live.told(event("payment_method.updated", card, live.now, "evt_old", api_version="2020-08-27"))
    handle_events(live.hub.engine, live.name)
    assert live.one("select object_id from tidegate.refetches") == card["id"]
    live.sandbox.advance(10)
    free = live.put(card | {"customer": None})
    live.told(event("payment_method.detached", free, live.now, "evt_detached", previous={"customer": card["customer"]}))
    handle_events(live.hub.engine, live.name)
    detached_at = live.one("select deleted_at from stripe.payment_methods where id = :id", id=card["id"])
    assert int(detached_at.timestamp()) == live.now
    live.sandbox.advance(10)
    looked = live.drain()
    assert looked.counts["payment_methods"].read == 1
    assert live.one("select deleted_at from stripe.payment_methods where id = :id", id=card["id"]) == detached_at

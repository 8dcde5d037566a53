from typing import Any

import pytest
from tests.support.writing import Account, account, refused

from tidegate.sandbox.clock import add_interval

DAY = 86_400
START = 1_767_225_600
"""1 January 2026: before the sandbox's own time."""


def clock(own: Account, at: int = START) -> Any:
    return own.checked(own.v1.test_helpers.test_clocks.create({"frozen_time": at, "name": "Renewal"}))


def advance(own: Account, name: str, to: int) -> Any:
    return own.checked(own.v1.test_helpers.test_clocks.advance(name, {"frozen_time": to}))


def real(own: Account) -> int:
    return own.sandbox.call(lambda: own.sandbox.world.clock.now)


def test_what_is_on_a_clock_is_written_at_its_time(own: Account) -> None:
    on = clock(own)
    assert (on.status, on.frozen_time, on.name) == ("ready", START, "Renewal")
    assert own.happened() == ["test_helpers.test_clock.created"]
    customer, price = own.customer(test_clock=on.id), own.price(1000)
    assert (customer.test_clock, customer.created) == (on.id, START)
    made = own.subscription(customer, price)
    assert (made.created, made.billing_cycle_anchor, made.test_clock) == (START, START, on.id)
    assert own.v1.invoices.retrieve(made.latest_invoice).created == START
    own.v1.subscription_items.update(made["items"].data[0].id, {"quantity": 2})
    pending = own.v1.invoice_items.list({"customer": customer.id, "pending": True}).data
    assert [one.date for one in pending] == [START, START]
    card = own.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    assert card.created == START
    charge = own.v1.charges.list({"customer": customer.id}).data[0]
    assert own.v1.refunds.create({"charge": charge.id, "amount": 1}).created == START
    assert {event["created"] for event in own.events()} == {real(own)}
    assert own.customer().created == price.created == real(own)


def test_an_advance_moves_its_own_customers_only(own: Account) -> None:
    on, other = clock(own), clock(own)
    made, stays = (own.subscription(own.customer(test_clock=one.id), own.price(1000)) for one in (on, other))
    before = own.subscription(own.customer(), own.price(1000))
    own.events()
    first, second = (add_interval(START, "month", n) for n in (1, 2))
    under_way = advance(own, on.id, first + 3600)
    assert (under_way.status, under_way.frozen_time) == ("advancing", START)
    assert under_way.status_details.advancing.target_frozen_time == first + 3600
    ready = own.checked(own.v1.test_helpers.test_clocks.retrieve(on.id))
    assert (ready.status, ready.frozen_time) == ("ready", first + 3600)
    events = own.events()
    assert [events[0]["type"], events[-1]["type"]] == [
        f"test_helpers.test_clock.{one}" for one in ("advancing", "ready")
    ]
    assert events[0]["request"]["id"] is not None
    assert {event["request"]["id"] for event in events[1:]} == {None}
    inside = {event["data"]["object"].get("subscription") or event["data"]["object"]["id"] for event in events}
    assert not {stays.id, before.id} & inside
    renewed = own.v1.subscriptions.retrieve(made.id)
    assert (renewed["items"].data[0].current_period_start, renewed["items"].data[0].current_period_end) == (
        first,
        second,
    )
    invoice = own.v1.invoices.retrieve(renewed.latest_invoice)
    assert (invoice.status, invoice.created, invoice.status_transitions.paid_at) == ("paid", first, first + 3600)
    canceled = own.v1.subscriptions.cancel(made.id)
    assert canceled.ended_at == first + 3600
    assert own.v1.subscriptions.retrieve(stays.id).latest_invoice == stays.latest_invoice


def test_how_far_a_clock_is_advanced_at_once(own: Account) -> None:
    on = clock(own)
    for to in (START, START - 1, add_interval(START, "year", 2) + 1):
        error = refused(own.v1.test_helpers.test_clocks.advance, on.id, {"frozen_time": to})
        assert (error.http_status, error.param) == (400, "frozen_time")
    customer = own.customer(test_clock=on.id)
    own.subscription(customer, own.price(1000, {"interval": "year"}))
    weekly = own.subscription(customer, own.price(1000, {"interval": "week"}))
    assert refused(own.v1.test_helpers.test_clocks.advance, on.id, {"frozen_time": START + 14 * DAY + 1})
    advance(own, on.id, START + 14 * DAY)
    own.v1.subscriptions.cancel(weekly.id)
    advance(own, on.id, add_interval(START, "year", 1))
    assert own.happened().count("test_helpers.test_clock.ready") == 2


def test_a_clock_in_the_future(own: Account) -> None:
    on = clock(own, real(own) + 400 * DAY)
    made = own.subscription(own.customer(test_clock=on.id), own.price(1000), trial_period_days=3)
    assert made.trial_end == on.frozen_time + 3 * DAY
    own.sandbox.advance(10 * DAY)
    assert own.v1.subscriptions.retrieve(made.id).status == "trialing"
    advance(own, on.id, made.trial_end)
    assert own.v1.subscriptions.retrieve(made.id).status == "active"


def test_a_clock_is_deleted_with_its_customers(own: Account) -> None:
    on = clock(own)
    customer = own.customer(test_clock=on.id)
    made = own.subscription(customer, own.price(1000))
    own.events()
    assert own.v1.test_helpers.test_clocks.delete(on.id).deleted
    assert own.happened() == ["test_helpers.test_clock.deleted"]
    assert own.v1.customers.retrieve(customer.id).deleted
    for call, identifier in (
        (own.v1.test_helpers.test_clocks.retrieve, on.id),
        (own.v1.test_helpers.test_clocks.delete, on.id),
        (own.v1.subscriptions.retrieve, made.id),
    ):
        assert refused(call, identifier).http_status == 404


def test_how_much_is_on_a_clock(own: Account) -> None:
    on, price = clock(own), own.price(1000)
    assert refused(own.v1.customers.create, {"test_clock": "clock_none"}).param == "test_clock"
    customer, *_ = (own.customer(test_clock=on.id) for _ in range(3))
    assert refused(own.v1.customers.create, {"test_clock": on.id}).param == "test_clock"
    for _ in range(3):
        last = own.subscription(customer, price)
    params = {"customer": customer.id, "items": [{"price": price.id}]}
    assert refused(own.v1.subscriptions.create, params).param == "customer"
    own.v1.subscriptions.cancel(last.id)
    own.subscription(customer, price)


def test_quotes_notes_and_invoices_on_a_clock(own: Account) -> None:
    on = clock(own)
    customer, price = own.customer(test_clock=on.id), own.price(1000)
    quote = own.v1.quotes.create({"customer": customer.id, "line_items": [{"price": price.id}]})
    own.v1.quotes.finalize_quote(quote.id)
    advance(own, on.id, START + 5 * DAY)
    taken = own.v1.quotes.accept(quote.id)
    assert (quote.test_clock, taken.status_transitions.accepted_at) == (on.id, START + 5 * DAY)
    note = own.v1.credit_notes.create({"invoice": taken.invoice, "amount": 1, "credit_amount": 1})
    assert note.created == START + 5 * DAY
    other = own.v1.quotes.create({"customer": customer.id, "line_items": [{"price": price.id}]})
    own.v1.quotes.finalize_quote(other.id)
    advance(own, on.id, other.expires_at)
    assert own.v1.quotes.retrieve(other.id).status == "canceled"


def test_a_live_account_has_no_clocks() -> None:
    with account(livemode=True) as live:
        error = refused(live.v1.test_helpers.test_clocks.create, {"frozen_time": START})
        assert error.http_status == 400


@pytest.mark.parametrize("permission", ["read", "write"])
def test_a_restricted_key_needs_the_right_to_clocks(own: Account, permission: str) -> None:
    import httpx

    secret = f"rk_test_clocks_{permission}"
    body = {"secret": secret, "permissions": {"test_helpers_test_clocks": permission}}
    assert httpx.post(f"{own.sandbox.url}/__keys", json=body).status_code == 200
    headers = {"Authorization": f"Bearer {secret}"}
    answer = own.post("/v1/test_helpers/test_clocks", {"frozen_time": str(START)}, **headers)
    assert answer.status_code == (200 if permission == "write" else 403)

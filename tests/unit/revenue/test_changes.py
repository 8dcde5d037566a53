"""What became of subscriptions, told from their spans and movements."""

from decimal import Decimal
from typing import Any

from tests.support.bills import WHO, events

from tidegate.revenue.billing.event import (
    CANCELED,
    DOWNGRADED,
    REACTIVATED,
    TRIAL_CONVERTED,
    TRIAL_STARTED,
    UPGRADED,
    Event,
)
from tidegate.revenue.billing.given import Ended, Return, Stretch

MILLION = 1_000_000


def stretch(begin: int, end: int | None, listed: int, item: str = "si_1", **fields: Any) -> Stretch:
    """A span; `listed` and the rest in minor units."""
    mrr, trial = fields.pop("mrr", listed), fields.pop("trial", 0)
    told = {
        "subscription": "sub_1", "item": item, "starts_at": begin, "ends_at": end, "currency": "usd",
        "price": "price_pro", "product": "prod_pro", "quantity": 1, **fields,
    }  # fmt: skip
    return Stretch(mrr=mrr * MILLION, listed=listed * MILLION, trial=trial * MILLION, **told)


def told(*stretches: Stretch, **more: Any) -> list[tuple[int, str, int | None]]:
    return [(event.at, event.name, event.amount) for event in events(stretches=stretches, **more)]


def only(*stretches: Stretch, **more: Any) -> Event:
    [event] = events(stretches=stretches, **more)
    return event


def test_upgrades_downgrades_and_cancellations() -> None:
    stretches = [stretch(10, 20, 1000), stretch(20, 30, 4900, price="price_seats"), stretch(30, 40, 2000)]
    found = events(stretches=stretches, ended=[Ended("sub_1", 40, "too_expensive")])
    assert [(event.name, event.at, event.amount) for event in found] == [
        (UPGRADED, 20, 3900),
        (DOWNGRADED, 30, -2900),
        (CANCELED, 40, None),
    ]
    assert found[2].properties == {
        "Subscription Cancelation Reason": "too_expensive",
        "Subscription Plan Level": "Pro",
    }


def test_from_to_and_difference() -> None:
    seats = {"price": "price_seats", "product": "prod_seats"}
    event = only(stretch(10, 20, 1000, quantity=2, **seats), stretch(20, None, 2500, quantity=5, **seats))
    assert event.id == "changed:sub_1:20"
    assert {name: event.details[name] for name in ("by", "from", "to", "difference")} == {
        "by": "quantity",
        "from": 1000,
        "to": 2500,
        "difference": 1500,
    }
    assert event.properties["Subscription Old MRR"] == Decimal("10.00")
    assert event.properties["Subscription New MRR"] == Decimal("25.00")
    assert event.properties["Subscription MRR Change"] == Decimal("15.00")


def test_what_differs_from_an_inferred_state_is_history() -> None:
    event = only(stretch(10, 20, 1000, inferred=True), stretch(20, None, 2500))
    assert (event.at, event.came_at) == (20, 0)
    event = only(stretch(10, 20, 1000), stretch(20, None, 2500))
    assert event.came_at == 20


def test_by_items_and_by_price() -> None:
    event = only(stretch(10, None, 1000), stretch(20, None, 500, item="si_2"))
    assert (event.name, event.details["by"]) == (UPGRADED, "items")
    event = only(stretch(10, 20, 1000), stretch(20, None, 900, price="price_seats"))
    assert (event.name, event.details["by"]) == (DOWNGRADED, "price")


def test_discounts_change_nothing_of_the_list_price() -> None:
    assert told(stretch(10, 20, 1000, mrr=500), stretch(20, None, 1000)) == []


def test_an_item_for_another_of_the_same_price_is_neither() -> None:
    assert told(stretch(10, 20, 1000), stretch(20, None, 1000, item="si_2")) == []


def test_the_beginning_and_the_end_are_neither() -> None:
    assert told(stretch(10, 20, 1000)) == []


def test_each_subscription_by_itself() -> None:
    moved = [stretch(10, 20, 1000), stretch(20, None, 1000, subscription="sub_2", item="si_2")]
    assert told(*moved) == []


def test_no_reason_is_told_where_there_is_none() -> None:
    [event] = events(ended=[Ended("sub_1", 40, "")])
    assert (event.id, event.properties, event.identity) == ("canceled:sub_1", {}, "ada@example.com")


def test_a_trial_that_converts() -> None:
    found = told(stretch(10, 20, 1000, mrr=0, trial=1000), stretch(20, None, 1000))
    assert found == [(10, TRIAL_STARTED, 1000), (20, TRIAL_CONVERTED, 1000)]


def test_a_trial_that_is_paused_and_resumed_converts_late() -> None:
    found = told(stretch(10, 20, 1000, mrr=0, trial=1000), stretch(20, 30, 1000, mrr=0), stretch(30, None, 1000))
    assert found == [(10, TRIAL_STARTED, 1000), (30, TRIAL_CONVERTED, 1000)]


def test_a_trial_that_ends_without_anything_paid() -> None:
    assert told(stretch(10, 20, 1000, mrr=0, trial=1000)) == [(10, TRIAL_STARTED, 1000)]


def test_a_trial_after_something_was_paid_is_restarted_and_converts_nobody() -> None:
    stretches = [stretch(10, 20, 1000), stretch(20, 30, 1000, mrr=0, trial=1000), stretch(30, None, 1000)]
    event = only(*stretches)
    assert (event.name, event.at, event.details["restarted"], event.properties["Restarted"]) == (
        TRIAL_STARTED,
        20,
        True,
        True,
    )


def test_a_trial_of_a_contact_that_paid_by_another_customer_is_restarted() -> None:
    stretches = [stretch(10, 20, 1000, mrr=0, trial=1000), stretch(20, None, 1000)]
    event = only(*stretches, contact_paid_since=5)
    assert (event.name, event.details["restarted"]) == (TRIAL_STARTED, True)
    assert len(events(stretches=stretches, contact_paid_since=15)) == 2, "it paid only after the trial had begun"


def test_reactivated() -> None:
    back = Return("sub_2", 50, "usd", 4_900 * MILLION, [("price_pro", "prod_pro")])
    [seen] = events(returns=[back._replace(inferred=True)])
    assert seen.came_at == 0, "it may have come about before it was seen"
    [event] = events(returns=[back])
    assert (event.id, event.name, event.at, event.amount) == ("reactivated:sub_2:50", REACTIVATED, 50, 4900)
    assert event.properties == {
        "Subscription MRR": Decimal("49.00"),
        "Subscription Plan Level": "Pro",
        "Currency": "USD",
    }


def test_by_date() -> None:
    found = events(stretches=[stretch(10, 20, 1000), stretch(20, 30, 1500)], ended=[Ended("sub_1", 15, "")], who=WHO)
    assert [event.at for event in found] == [15, 20]


def test_what_was_free_before_a_trial_was_not_paid() -> None:
    stretches = [stretch(10, 20, 0), stretch(20, 30, 1000, mrr=0, trial=1000), stretch(30, None, 1000)]
    trial, converted = (one for one in events(stretches=stretches) if one.name in {TRIAL_STARTED, TRIAL_CONVERTED})
    assert (trial.details["restarted"], converted.name) == (False, TRIAL_CONVERTED)


SMALL_FIRST = {"item": "si_0", "price": "price_seats", "product": "prod_seats"}


def test_the_largest_item_names_the_plan() -> None:
    before = [stretch(10, 20, 500, **SMALL_FIRST), stretch(10, None, 1000)]
    after = [stretch(20, None, 600, **SMALL_FIRST)]
    changed = only(*before, *after)
    assert changed.properties["Subscription Old Plan Level"] == changed.properties["Subscription Plan Level"] == "Pro"
    ended = [stretch(10, 20, 500, **SMALL_FIRST), stretch(10, 20, 1000)]
    [event] = events(stretches=ended, ended=[Ended("sub_1", 20, "")])
    assert event.properties["Subscription Plan Level"] == "Pro"


def test_what_was_canceled_is_named_by_what_it_was_in_the_end() -> None:
    stretches = [
        stretch(10, 20, 9000),
        stretch(20, 30, 500, price="price_seats", product="prod_seats"),
        stretch(10, 30, 9000, "si_9", subscription="sub_9"),
    ]
    found = events(stretches=stretches, ended=[Ended("sub_1", 30, "")])
    assert [one.properties["Subscription Plan Level"] for one in found if one.name == CANCELED] == ["Seats"]


def test_a_trial_that_counts_by_policy_converts_when_it_ends() -> None:
    trial = [stretch(10, 20, 1000, mrr=1000, trial=1000), stretch(20, None, 1000)]
    assert told(*trial) == [(10, TRIAL_STARTED, 1000), (20, TRIAL_CONVERTED, 1000)]


def test_who_pays_from_the_second_that_a_trial_begins_had_not_paid_before() -> None:
    trial = [stretch(10, 20, 1000, mrr=0, trial=1000)]
    assert only(*trial, contact_paid_since=10).details["restarted"] is False


def test_trials_that_follow_what_was_inferred_are_history() -> None:
    free = stretch(5, 10, 0, inferred=True)
    trial = [free, stretch(10, 20, 1000, mrr=0, trial=1000, inferred=True), stretch(20, None, 1000)]
    assert [one.came_at for one in events(stretches=trial) if one.name in {TRIAL_STARTED, TRIAL_CONVERTED}] == [0, 0]
    seen = [stretch(10, 20, 1000, mrr=0, trial=1000), stretch(20, None, 1000)]
    assert [one.came_at for one in events(stretches=seen)] == [10, 20]


def test_what_begins_again_after_a_gap_is_no_upgrade() -> None:
    assert told(stretch(10, 20, 1000), stretch(30, None, 1500)) == []

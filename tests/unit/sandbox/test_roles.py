"""One test per thing that the cast guarantees, whatever the seed."""

from collections.abc import Callable
from typing import Any

import pytest

from tidegate.sandbox.cast import ROLES
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.generator import make_world
from tidegate.sandbox.names import FREE_MAIL
from tidegate.sandbox.resources import BY_NAME
from tidegate.sandbox.world import World

Obj = dict[str, Any]
DAY = 86_400


class Company:
    """A company of nobody but the cast, asked by role; events are kept for all of its history."""

    def __init__(self, seed: int) -> None:
        self.events: list[tuple[str, Obj]] = []
        config = SandboxConfig(customers=len(ROLES), seed=seed)
        self.world: World = make_world(config)
        customers = self.world.state["customers"]
        self.customers: dict[str, Obj] = {}
        for identifier in customers.ids:
            customer = customers.full(identifier)
            self.customers[customer["_role"]] = customer

    def all(self, resource: str, **fields: Any) -> list[Obj]:
        """The whole objects with these values, oldest first."""
        collection = self.world.state[resource]
        if fields and next(iter(fields)) in dict(BY_NAME[resource].filters):
            name, value = next(iter(fields.items()))
            found = [collection.full(one) for one in collection.find(name, value)]
        else:
            found = [collection.full(one) for one in collection.ids]
        return [one for one in found if all(one.get(name) == value for name, value in fields.items() if name in one)]

    def of(self, role: str, resource: str) -> list[Obj]:
        """A role's objects, oldest first."""
        return self.all(resource, customer=self.customers[role]["id"])

    def one(self, role: str) -> Obj:
        """A role's only subscription."""
        (subscription,) = self.of(role, "subscriptions")
        return subscription

    def told(self, role: str) -> set[str]:
        """The types of a role's events of the last thirty days."""
        mine = self.customers[role]["id"]
        kinds: set[str] = set()
        for identifier in self.world.state["events"].ids:
            event = self.world.state.full("events", identifier)
            obj = event["data"]["object"]
            if mine in (obj.get("customer"), obj["id"]):
                kinds.add(event["type"])
        return kinds

    def lines(self, role: str) -> list[Obj]:
        """All lines of a role's invoices, oldest invoice first."""
        return [line for invoice in self.of(role, "invoices") for line in invoice["lines"]["data"]]


@pytest.fixture(scope="module", params=[1, 20])
def company(request: pytest.FixtureRequest) -> Company:
    return Company(request.param)


def item_details(line: Obj) -> Obj:
    return line["parent"]["subscription_item_details"] or {}


def prorations(company: Company, role: str) -> list[int]:
    return [line["amount"] for line in company.lines(role) if item_details(line).get("proration")]


def test_the_whole_cast_is_there(company: Company) -> None:
    assert set(ROLES) - set(company.customers) == {"deleted"}
    assert len(company.world.state.deleted["customers"]) == 1


STATUS = {
    "trialing": "trialing",
    "trial_no_card": "paused",
    "trial_no_card_billed": "past_due",
    "trial_resumed": "active",
    "trial_canceled": "canceled",
    "trial_unpaid": "canceled",
    "trial_restarted": "active",
    "past_due": "past_due",
    "unpaid": "unpaid",
    "paid_late": "active",
    "written_off_paid": "canceled",
    "dunned": "canceled",
    "late_card": "active",
    "incomplete": "incomplete",
    "incomplete_expired": "incomplete_expired",
    "paid_in_time": "active",
    "churned": "canceled",
    "canceling": "active",
    "left_credited": "canceled",
    "left_in_change": "canceled",
    "metered_ends": "canceled",
    "never_transfers": "canceled",
    "dispute_lost": "canceled",
    "dispute_won": "active",
    "pending": "active",
    "pending_paid": "active",
    "pending_lapsed": "active",
    "scheduled": "active",
    "stepped_up": "active",
    "stepped_out": "canceled",
    "fixed_term": "canceled",
    "schedule_canceled": "canceled",
    "began_as_signed": "active",
}


@pytest.mark.parametrize(("role", "status"), STATUS.items())
def test_how_it_stands_with_each(company: Company, role: str, status: str) -> None:
    assert company.one(role)["status"] == status


REASON = {
    "churned": "cancellation_requested",
    "dunned": "payment_failed",
    "dispute_lost": "payment_disputed",
    "never_transfers": "payment_failed",
    "fixed_term": None,
}


@pytest.mark.parametrize(("role", "reason"), REASON.items())
def test_why_it_ended(company: Company, role: str, reason: str | None) -> None:
    assert company.one(role)["cancellation_details"]["reason"] == reason


def test_a_first_payment_that_fails_shows_from_birth(company: Company) -> None:
    for role in ("incomplete", "incomplete_expired", "paid_in_time"):
        born = [
            event["data"]["object"]
            for event in company.all("events", type="customer.subscription.created")
            if event["data"]["object"]["customer"] == company.customers[role]["id"]
        ]
        assert [one["status"] for one in born] == ["incomplete"]
    (invoice,) = company.of("incomplete_expired", "invoices")
    assert invoice["status"] == "void"
    assert {"payment_intent.canceled", "invoice.voided"} <= company.told("incomplete_expired")
    (invoice,) = company.of("paid_in_time", "invoices")
    assert (invoice["status"], invoice["attempt_count"]) == ("paid", 2)


def test_an_invoice_that_is_void_or_uncollectible_has_no_payment_under_way(company: Company) -> None:
    ended = [one for one in company.all("invoices") if one["status"] in ("void", "uncollectible")]
    links = [link for invoice in ended for link in company.all("invoice_payments", invoice=invoice["id"])]
    assert links
    for link in links:
        intent = company.world.state.full("payment_intents", link["payment"]["payment_intent"])
        assert (link["status"], intent["status"]) == ("canceled", "canceled")
        assert link["status_transitions"]["canceled_at"] == intent["canceled_at"] is not None


def test_attempts_end_also_without_a_card(company: Company) -> None:
    for invoice in company.all("invoices"):
        assert invoice["attempt_count"] <= 5
    (first, *_) = [one for one in company.of("trial_no_card_billed", "invoices") if one["amount_due"]]
    assert first["attempt_count"] > 0
    assert first["status"] == "open"


def test_a_removed_item_is_credited(company: Company) -> None:
    assert len(company.one("removed_item")["items"]["data"]) == 1
    (credit,) = prorations(company, "removed_item")
    assert -1000 < credit < 0
    added = company.one("added_item")
    assert len(added["items"]["data"]) == 2
    assert [amount > 0 for amount in prorations(company, "added_item")] == [True]


def test_a_second_change_credits_the_line_of_the_first(company: Company) -> None:
    waiting = company.of("changed_twice", "invoiceitems")
    assert [one["quantity"] for one in waiting] == [6, 9, 9, 11]
    first, debit, second, _ = waiting
    assert first["_credited"]["invoice"] == company.of("changed_twice", "invoices")[0]["id"]
    assert second["_credited"] is None
    assert 0 < -second["amount"] < debit["amount"]
    charged = [line for line in company.lines("growing_yearly") if item_details(line)]
    assert len(charged) == 3
    known = {line["id"] for line in charged}
    credited = [item_details(line)["proration_details"]["credited_items"] for line in charged]
    assert all(set(one["invoice_line_items"]) <= known for one in credited if one)


def test_no_more_is_credited_than_was_billed(company: Company) -> None:
    billed, credit, *_ = [line for line in company.lines("discounted_change") if item_details(line)]
    assert [share["amount"] for share in billed["discount_amounts"]] == [2160]
    assert 0 > credit["amount"] > -(10_800 - 2160)
    left = company.lines("left_credited")
    assert sum(line["amount"] for line in left) > 0
    assert left[-1]["amount"] < 0


def test_prorations_can_be_left_out_or_billed_at_once(company: Company) -> None:
    assert company.one("growing_free")["items"]["data"][0]["quantity"] == 10
    assert prorations(company, "growing_free") == []
    reasons = [one["billing_reason"] for one in company.of("growing_at_once", "invoices")]
    assert reasons[:2] == ["subscription_create", "subscription_update"]


def test_another_interval_begins_a_new_period(company: Company) -> None:
    subscription = company.one("yearly")
    (item,) = subscription["items"]["data"]
    assert item["price"]["recurring"]["interval"] == "year"
    assert item["current_period_start"] == subscription["billing_cycle_anchor"] > subscription["created"]
    assert [amount > 0 for amount in prorations(company, "yearly")] == [False, True]
    assert company.one("leaves_free")["billing_cycle_anchor"] > company.one("leaves_free")["created"]


def test_a_cancellation_stops_collection(company: Company) -> None:
    assert company.of("left_in_change", "invoiceitems") == []
    for role in ("churned", "schedule_canceled", "dispute_lost", "left_in_change"):
        assert not any(one["auto_advance"] for one in company.of(role, "invoices"))
    last = company.of("left_credited", "invoices")[-1]
    assert (last["billing_reason"], last["status"], last["amount_due"]) == ("subscription_update", "paid", 0)
    assert company.customers["left_credited"]["balance"] == last["total"] < 0


def test_usage_is_billed_when_a_subscription_ends_with_its_period(company: Company) -> None:
    subscription, last = company.one("metered_ends"), company.of("metered_ends", "invoices")[-1]
    assert last["created"] == subscription["ended_at"]
    (line,) = last["lines"]["data"]
    metered = {item["id"] for item in subscription["items"]["data"] if "quantity" not in item}
    assert item_details(line)["subscription_item"] in metered
    assert last["status"] == "paid"


def test_ends_that_are_planned_and_taken_back(company: Company) -> None:
    planned = company.one("cancels_at")
    assert planned["cancel_at"] > planned["items"]["data"][0]["current_period_end"]
    assert not planned["cancel_at_period_end"]
    stays = company.one("stays")
    assert (stays["cancel_at"], stays["canceled_at"], stays["cancel_at_period_end"]) == (None, None, False)
    assert company.one("canceling")["cancel_at_period_end"]
    first, again = company.of("returned", "subscriptions")
    assert (first["status"], again["status"]) == ("canceled", "active")


def test_trials(company: Company) -> None:
    restarted = company.one("trial_restarted")
    assert restarted["trial_start"] > restarted["created"] + 30 * DAY
    assert [line["amount"] for line in company.lines("trial_restarted")].count(0) == 2
    assert prorations(company, "trial_restarted")[0] < 0
    assert "customer.subscription.trial_will_end" in company.told("trialing") | company.told("trial_no_card")
    resumed = company.one("trial_resumed")
    assert resumed["billing_cycle_anchor"] > resumed["trial_end"]
    assert {"customer.subscription.paused", "customer.subscription.resumed"} <= company.told("trial_resumed")
    unpaid = company.of("trial_unpaid", "invoices")
    assert [one["status"] for one in unpaid] == ["paid", "uncollectible"]


def test_pauses(company: Company) -> None:
    assert company.one("paused_void")["pause_collection"] is None
    assert [one["status"] for one in company.of("paused_void", "invoices")] == ["paid", "void"]
    for_good = company.one("paused_uncollectible")["pause_collection"]
    assert for_good == {"behavior": "mark_uncollectible", "resumes_at": None}
    assert [one["status"] for one in company.of("paused_uncollectible", "invoices")] == ["paid", "uncollectible"]
    kept = company.of("paused_collection", "invoices")[-1]
    assert (kept["status"], kept["auto_advance"]) == ("draft", False)


def test_what_an_unpaid_subscription_owes_stays_a_draft(company: Company) -> None:
    states = [(one["status"], one["auto_advance"]) for one in company.of("unpaid", "invoices")]
    assert states[0] == ("paid", False)
    assert ("draft", False) in states
    assert ("draft", True) not in states


def test_late_payments(company: Company) -> None:
    assert all(one["status"] in ("paid", "draft") for one in company.of("paid_late", "invoices"))
    lost = company.of("written_off_paid", "invoices")[-1]
    times = lost["status_transitions"]
    assert lost["status"] == "paid"
    assert times["marked_uncollectible_at"] < times["paid_at"]
    late = company.of("late_card", "invoices")[1]
    assert (late["status"], late["attempt_count"]) == ("paid", 3)
    assert not company.customers["paid_late"]["delinquent"]
    assert company.customers["unpaid"]["delinquent"]
    sent = company.of("never_transfers", "invoices")[0]
    assert (sent["collection_method"], sent["status"]) == ("send_invoice", "uncollectible")
    assert sent["due_date"] == sent["created"] + 30 * DAY


def test_refunds(company: Company) -> None:
    (part,) = company.of("refunded_part", "charges")
    assert 0 < part["amount_refunded"] < part["amount"]
    (fraud,) = company.of("refunded_fraud", "charges")
    (given,) = company.all("refunds", charge=fraud["id"])
    assert (given["reason"], fraud["refunded"]) == ("fraudulent", True)
    (back,) = company.of("refund_failed", "charges")
    (failed,) = company.all("refunds", charge=back["id"])
    assert (failed["status"], back["amount_refunded"], back["refunded"]) == ("failed", 0, False)
    assert {"refund.failed", "refund.updated", "charge.refund.updated"} <= company.told("refund_failed") | {
        event["type"] for event in company.all("events") if event["data"]["object"]["id"] == failed["id"]
    }


def test_disputes(company: Company) -> None:
    outcomes: dict[str, str] = {}
    for role in ("dispute_lost", "dispute_won"):
        (charge,) = [one for one in company.of(role, "charges") if one["disputed"]]
        (dispute,) = company.all("disputes", charge=charge["id"])
        outcomes[role] = dispute["status"]
        kinds = {event["type"] for event in company.all("events") if event["data"]["object"]["id"] == dispute["id"]}
        assert {"charge.dispute.funds_withdrawn", "charge.dispute.closed"} <= kinds
        assert ("charge.dispute.funds_reinstated" in kinds) == (role == "dispute_won")
    assert outcomes == {"dispute_lost": "lost", "dispute_won": "won"}


def test_credit_notes(company: Company) -> None:
    (open_invoice,) = company.of("credited_open", "invoices")
    kept, voided = company.of("credited_open", "credit_notes")
    assert (kept["status"], kept["type"], voided["status"]) == ("issued", "pre_payment", "void")
    assert open_invoice["pre_payment_credit_notes_amount"] == kept["amount"]
    assert open_invoice["amount_due"] == open_invoice["total"] - kept["amount"] == open_invoice["amount_remaining"]
    retried = company.of("credited_before_retry", "invoices")[1]
    (note,) = company.of("credited_before_retry", "credit_notes")
    assert (retried["status"], retried["amount_remaining"]) == ("paid", 0)
    assert retried["amount_paid"] == retried["amount_due"] == retried["total"] - note["amount"]
    (link,) = company.all("invoice_payments", invoice=retried["id"])
    assert link["amount_requested"] == link["amount_paid"] == retried["amount_paid"]
    refunded = company.of("credited_refund", "credit_notes")
    assert len({note["number"] for note in refunded}) == 2
    assert all(note["refunds"][0]["amount_refunded"] == note["post_payment_amount"] for note in refunded)
    (outside,) = company.of("credited_outside", "credit_notes")
    assert outside["out_of_band_amount"] == outside["amount"]
    (balance,) = company.of("credited", "credit_notes")
    assert balance["customer_balance_transaction"]
    numbers = [note["number"] for note in company.all("credit_notes")]
    assert len(numbers) == len(set(numbers))


def test_balances(company: Company) -> None:
    owed = company.of("debt", "invoices")[0]
    assert (owed["starting_balance"], owed["amount_due"] - owed["total"]) == (700, 700)
    spent = company.of("credit", "invoices")[0]
    assert (spent["amount_due"], spent["ending_balance"]) == (0, -100)


def test_changes_that_wait_for_their_payment(company: Company) -> None:
    waits = company.one("pending")
    wanted = waits["pending_update"]["subscription_items"][0]
    (item,) = waits["items"]["data"]
    assert wanted["id"] == item["id"]
    assert wanted["price"]["id"] != item["price"]["id"]
    invoice = company.world.state.full("invoices", waits["latest_invoice"])
    assert (invoice["status"], invoice["billing_reason"]) == ("open", "subscription_update")
    applied, lapsed = company.one("pending_paid"), company.one("pending_lapsed")
    assert applied["items"]["data"][0]["price"]["unit_amount"] == 9900
    assert "customer.subscription.pending_update_applied" in company.told("pending_paid")
    assert lapsed["items"]["data"][0]["price"]["unit_amount"] == 4900
    assert "customer.subscription.pending_update_expired" in company.told("pending_lapsed")
    assert company.of("pending_lapsed", "invoices")[1]["status"] == "void"
    assert applied["pending_update"] is lapsed["pending_update"] is None


SCHEDULES = {
    "scheduled": "active",
    "stepped_up": "released",
    "stepped_out": "completed",
    "fixed_term": "completed",
    "schedule_canceled": "canceled",
    "signed_ahead": "not_started",
    "began_as_signed": "released",
    "called_off": "canceled",
}


@pytest.mark.parametrize(("role", "status"), SCHEDULES.items())
def test_schedules(company: Company, role: str, status: str) -> None:
    (schedule,) = company.of(role, "subscription_schedules")
    assert schedule["status"] == status
    for subscription in company.of(role, "subscriptions"):
        assert (subscription["schedule"] == schedule["id"]) == (status != "released")
    if status == "released":
        assert schedule["released_subscription"] == company.one(role)["id"]
    assert (schedule["current_phase"] is not None) == (status == "active")


def test_a_phase_changes_the_items_and_keeps_their_quantity(company: Company) -> None:
    before, after, *_ = company.lines("stepped_up")
    (item,) = company.one("stepped_up")["items"]["data"]
    assert item["quantity"] == before["quantity"] == after["quantity"] == 6
    assert (
        item["price"]["id"] == after["pricing"]["price_details"]["price"] != before["pricing"]["price_details"]["price"]
    )
    (schedule,) = company.of("stepped_up", "subscription_schedules")
    assert [phase["items"][0]["quantity"] for phase in schedule["phases"]] == [6, 6]


def test_discounts(company: Company) -> None:
    once = company.one("item_once")
    assert once["items"]["data"][0]["discounts"] == []
    taken = [len(line["discount_amounts"]) for line in company.lines("item_once")]
    assert taken[:3] == [1, 0, 0]
    of_trial = [sum(share["amount"] for share in line["discount_amounts"]) for line in company.lines("trial_coupon")]
    assert of_trial[:3] == [0, 980, 0]
    off = [bool(line["discount_amounts"]) for line in company.lines("three_months_off")]
    assert off == [True, True, True, False, False]
    assert company.one("three_months_off")["discounts"] == []
    later = [bool(line["discount_amounts"]) for line in company.lines("discounted_later")]
    assert later == [False, True]
    assert company.one("discounted_later")["discounts"] == []
    assert "customer.discount.deleted" in company.told("discounted_later")
    (living,) = company.one("coupon_gone")["discounts"]
    assert company.world.state.full("discounts", living)["source"]["coupon"] == "LASTCALL"
    assert "LASTCALL" not in company.world.state["coupons"]
    assert company.lines("coupon_gone")[-1]["discount_amounts"]
    assert any(one["times_redeemed"] for one in company.all("promotion_codes"))


def test_a_price_in_another_of_its_currencies(company: Company) -> None:
    subscription = company.one("everywhere")
    (item,) = subscription["items"]["data"]
    assert (subscription["currency"], item["price"]["currency"]) == ("eur", "usd")
    assert {line["amount"] for line in company.lines("everywhere")} == {2700}
    assert company.customers["everywhere"]["currency"] == "eur"


def test_intervals_of_one_subscription(company: Company) -> None:
    subscription = company.one("mixed_intervals")
    assert subscription["billing_mode"]["type"] == "flexible"
    year, month = subscription["items"]["data"]
    assert year["current_period_end"] - year["current_period_start"] > 360 * DAY
    assert month["current_period_end"] - month["current_period_start"] <= 31 * DAY
    sizes = [len(one["lines"]["data"]) for one in company.of("mixed_intervals", "invoices")]
    assert sizes == [2, 1, 1]


def test_a_start_in_the_past_is_billed_from_then(company: Company) -> None:
    subscription = company.one("backdated")
    before, current, *_ = company.lines("backdated")
    assert before["period"] == {"start": subscription["start_date"], "end": subscription["created"]}
    assert before["amount"] > current["amount"] == 4900
    assert current["period"]["start"] == subscription["created"]


def test_prices_rise_and_subscribers_stay(company: Company) -> None:
    for role, amount in (("early_bird", 1900), ("legacy", 900)):
        (item,) = company.one(role)["items"]["data"]
        assert (item["price"]["active"], item["price"]["unit_amount"]) == (False, amount)
    new = company.world.prices["starter-month-usd"]
    assert (new["unit_amount"], new["lookup_key"]) == (2280, "starter-month-usd")
    assert sum(one["lookup_key"] == "starter-month-usd" for one in company.all("prices")) == 1


def test_prices_and_products_of_ones_own(company: Company) -> None:
    plain, own = (company.one(role)["items"]["data"][0]["price"] for role in ("inline", "inline_product"))
    assert plain["product"] == company.world.prices["business-month-usd"]["product"]
    assert company.world.state.full("products", own["product"])["name"] == "Onboarding, tailored"


QUOTES = {
    "quoted": ["accepted"],
    "quoted_open": ["open"],
    "quote_draft": ["draft"],
    "quote_canceled": ["canceled"],
    "quote_expired": ["canceled"],
}


@pytest.mark.parametrize(("role", "states"), QUOTES.items())
def test_quotes(company: Company, role: str, states: list[str]) -> None:
    quotes = company.of(role, "quotes")
    assert [one["status"] for one in quotes] == states
    if role == "quote_expired":
        assert quotes[0]["status_transitions"]["canceled_at"] == quotes[0]["expires_at"]


def domain(company: Company, role: str) -> str:
    return company.customers[role]["email"].rpartition("@")[2]


def test_who_can_be_told_by_the_domain_of_an_address(company: Company) -> None:
    colleagues = {domain(company, role) for role in ("colleague", "colleague_sales", "colleague_abroad")}
    assert len(colleagues) == 1
    assert all(domain(company, role) in FREE_MAIL for role in ("free_mail", "free_mail_too"))
    others = [domain(company, role) for role in ROLES if role not in ("deleted", "no_email") and "mail" not in role]
    assert colleagues.isdisjoint(set(others[:10]))
    assert company.customers["no_email"]["email"] is None
    assert company.customers["no_name"]["name"] is None
    shared = [company.customers[role]["email"].lower() for role in ("duplicate", "duplicate_again")]
    assert shared == ["shared.inbox@example.com"] * 2
    assert len(company.of("several", "subscriptions")) == 2


def test_customers_change(company: Company) -> None:
    assert company.customers["renamed"]["name"].endswith("& Søn")
    assert company.customers["new_email"]["email"].startswith("accounts@")
    assert {"payment_method.attached", "customer.updated"} <= company.told("new_card")
    (gone,) = [
        event["data"]["object"]
        for event in company.all("events", type="payment_method.detached")
        if event["data"]["object"]["billing_details"]["name"] == company.customers["new_card"]["name"]
    ][:1]
    assert gone["customer"] is None


def test_what_is_told_of_the_next_invoice(company: Company) -> None:
    previews = company.all("events", type="invoice.upcoming")
    assert previews
    for event in previews:
        invoice = event["data"]["object"]
        assert invoice["id"].startswith("upcoming_in_")
        assert invoice["id"] not in company.world.state["invoices"]
        if invoice["test_clock"] is None:
            assert invoice["created"] == event["created"] + 7 * DAY


Rule = Callable[[Company, Obj], bool]
RULES: dict[str, Rule] = {
    "one currency per customer": lambda company, one: (
        len({other["currency"] for other in company.all("subscriptions", customer=one["customer"])}) == 1
    ),
    "no price twice": lambda company, one: (
        len({item["price"]["id"] for item in one["items"]["data"]}) == len(one["items"]["data"])
    ),
    "an ended one has no pending update and no discounts": lambda company, one: (
        one["status"] != "canceled" or not (one["pending_update"] or one["discounts"])
    ),
    "a planned end is not yet past": lambda company, one: (
        one["status"] == "canceled" or one["cancel_at"] is None or one["cancel_at"] > company.world.clock.now
    ),
    "periods hold the present": lambda company, one: (
        one["status"] not in ("active", "past_due", "trialing", "unpaid")
        or all(
            item["current_period_start"] <= company.world.clock.now <= item["current_period_end"]
            for item in one["items"]["data"]
        )
    ),
}


@pytest.fixture(scope="module")
def ordinary() -> Company:
    """Two years of ordinary customers, with the cast among them."""
    made = Company.__new__(Company)
    made.world = make_world(SandboxConfig(customers=500, months=24, seed=3))
    return made


@pytest.mark.parametrize("rule", RULES)
def test_what_holds_for_every_subscription(ordinary: Company, rule: str) -> None:
    for subscription in ordinary.all("subscriptions"):
        assert RULES[rule](ordinary, subscription), (subscription["id"], subscription["customer"])


def test_what_holds_for_every_schedule(ordinary: Company) -> None:
    live = [one["subscription"] for one in ordinary.all("subscription_schedules") if one["status"] == "active"]
    assert len(live) == len(set(live))
    for identifier in live:
        assert ordinary.world.state.full("subscriptions", identifier)["status"] != "canceled"


def test_credits_are_never_more_than_what_they_credit(ordinary: Company) -> None:
    compared = 0
    for item in ordinary.all("invoiceitems"):
        credited = item.get("_credited")
        if credited:
            invoice = ordinary.world.state.full("invoices", credited["invoice"])
            lines = [line for line in invoice["lines"]["data"] if line["id"] in credited["invoice_line_items"]]
            net = sum(line["amount"] - sum(share["amount"] for share in line["discount_amounts"]) for line in lines)
            assert len(lines) == len(credited["invoice_line_items"])
            assert -net <= item["amount"] <= 0
            compared += 1
    assert compared > 50

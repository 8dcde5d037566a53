from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.writing import Account, account

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.writes.locks import EARLY, Locks


def test_a_lock_is_held_until_the_answer_leaves() -> None:
    now = 100.0
    locks = Locks(lambda: now)
    locks.pass_through("cus_1")
    locks.hold("cus_1", 0.5)
    with pytest.raises(Refusal) as refusal:
        locks.pass_through("cus_1")
    assert (refusal.value.status, refusal.value.code) == (429, "lock_timeout")
    locks.pass_through("cus_2")
    locks.pass_through(None)
    now += 0.5 - EARLY
    locks.pass_through("cus_1")


def together(own: Account, *calls: tuple[str, dict[str, str]]) -> list[tuple[int, str | None]]:
    """Status and code of requests sent at once."""

    def send(one: tuple[str, dict[str, str]]) -> tuple[int, str | None]:
        answer = own.post(*one)
        told: dict[str, Any] = answer.json()
        return answer.status_code, told.get("error", {}).get("code")

    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(pool.map(send, calls))


def test_of_two_writes_to_a_customer_at_once_one_is_refused_whatever_of_hers_they_change() -> None:
    with account(latency=0.4) as own:
        made = [own.v1.customers.create({"email": f"{one}@example.com"}).id for one in "ab"]
        product = own.v1.products.create({"name": "Plan"}).id
        name = {"name": "Ada"}
        both = together(own, (f"/v1/customers/{made[0]}", name), ("/v1/invoices", {"customer": made[0]}))
        assert both == [(200, None), (429, "lock_timeout")]
        apart = together(own, (f"/v1/customers/{made[0]}", name), (f"/v1/customers/{made[1]}", name))
        assert apart == [(200, None), (200, None)]
        shared = together(own, (f"/v1/products/{product}", name), (f"/v1/products/{product}", name))
        assert shared == [(200, None), (200, None)]
        draft = own.v1.invoices.list({"customer": made[0]}).data or [own.v1.invoices.create({"customer": made[0]})]
        path = f"/v1/invoices/{draft[0].id}"
        both = together(own, (path, {"description": "x"}), (f"/v1/customers/{made[0]}", name))
        assert both == [(200, None), (429, "lock_timeout")]


def test_of_two_events_of_a_customer_at_once_one_is_refused() -> None:
    """One concurrent call for each customer and meter, as the guide to recording usage says."""
    with account(latency=0.4) as own:
        said = {"event_name": "calls", "display_name": "Calls", "default_aggregation": {"formula": "sum"}}
        own.v1.billing.meters.create(said)
        ada, bo = (own.v1.customers.create({"email": f"{one}@example.com"}).id for one in "ab")
        path, told = "/v1/billing/meter_events", {"event_name": "calls", "payload[value]": "1"}
        both = together(own, *((path, told | {"payload[stripe_customer_id]": ada}) for _ in range(2)))
        assert both == [(200, None), (429, "lock_timeout")]
        apart = together(own, *((path, told | {"payload[stripe_customer_id]": one}) for one in (ada, bo)))
        assert apart == [(200, None), (200, None)]


def test_what_was_asked_for_can_be_read_with_its_parameters_and_keys() -> None:
    with account() as own:
        own.post("/v1/customers", {"email": "a@example.com", "metadata[tier]": "pro"}, "one")
        own.post("/v1/customers", {"email": "a@example.com", "metadata[tier]": "pro"}, "one")
        own.post("/v1/customers", {"emial": "a@example.com"})
        first, again, wrong = own.sandbox.written()
        assert first.params == {"email": "a@example.com", "metadata": {"tier": "pro"}}
        assert (first.method, first.path, first.key, first.status, first.replayed) == (
            "POST", "/v1/customers", "one", 200, False
        )  # fmt: skip
        assert again == first._replace(replayed=True)
        assert (wrong.status, wrong.key) == (None, None)

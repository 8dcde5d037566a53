"""Objects in the shape of 2020-08-27, held against what Stripe published of an API version nearly as old."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tidegate.sandbox.old_versions import OLD, in_version, old

ROOT = Path(__file__).parents[3]
RECORDED = Path(os.environ.get("TIDEGATE_RECORDED", ROOT / "../shared/recorded"))
EXAMPLES = "openapi-fixtures/fixtures3.2022-04-12.json"
NEVER_HERE = {"invoice": {"application_fee_amount", "quote", "transfer_data"}, "customer": {"deleted"}}
"""What the examples have and the sandbox never sets: money of Connect, quotes of invoices, a stub's mark."""

Obj = dict[str, Any]


def olds(api: Any, resource: str) -> list[Obj]:
    state = api.server.world.state
    return [old(state[resource].shown(identifier), state) for identifier in state[resource].ids]


@pytest.mark.parametrize(
    "resource",
    [
        *("charges", "credit_notes", "customers", "invoices", "payment_intents", "payment_methods", "promotion_codes"),
        *("quotes", "refunds", "subscription_schedules"),
    ],
)
def test_what_was_there_in_2022_is_there(api: Any, resource: str) -> None:
    if not (RECORDED / EXAMPLES).exists():
        pytest.skip(f"{RECORDED} lacks {EXAMPLES}; set TIDEGATE_RECORDED to a directory that has it")
    examples = json.loads((RECORDED / EXAMPLES).read_text())["resources"]
    for obj in olds(api, resource):
        wanted = examples[obj["object"]].keys() - NEVER_HERE.get(obj["object"], set())
        assert wanted <= obj.keys()


def test_an_intent_has_its_charges_and_its_invoice(api: Any) -> None:
    state = api.server.world.state
    intents = olds(api, "payment_intents")
    for intent in intents:
        charges = intent["charges"]
        found = list(state["charges"].find("payment_intent", intent["id"]))[::-1]
        assert [one["id"] for one in charges["data"]] == found[:10]
        assert (charges["object"], charges["total_count"]) == ("list", len(found))
        assert state["invoices"].shown(intent["invoice"])["customer"] == intent["customer"]
        assert {one["invoice"] for one in charges["data"]} <= {intent["invoice"]}
        assert "latest_charge" not in intent
    assert max(len(intent["charges"]["data"]) for intent in intents) > 1


def test_a_charge_has_its_refunds(api: Any) -> None:
    charges = olds(api, "charges")
    assert any(one["refunds"]["data"] for one in charges)
    for charge in charges:
        given = [one["amount"] for one in charge["refunds"]["data"] if one["status"] == "succeeded"]
        assert sum(given) == charge["amount_refunded"]
        assert all("payment_method" not in one for one in charge["refunds"]["data"])


def test_an_invoice_says_what_paid_it(api: Any) -> None:
    state = api.server.world.state
    kinds = set[tuple[bool, bool]]()
    for invoice in olds(api, "invoices"):
        if invoice["charge"]:
            assert state["charges"].shown(invoice["charge"])["payment_intent"] == invoice["payment_intent"]
        kinds.add((invoice["paid_out_of_band"], bool(invoice["charge"])))
        assert not invoice["paid_out_of_band"] or (invoice["paid"] and invoice["amount_paid"] > 0)
    assert {(False, True), (False, False), (True, False)} <= kinds


def test_a_note_has_one_refund_and_tax_amounts(api: Any) -> None:
    notes = olds(api, "credit_notes")
    assert any(one["refund"] for one in notes)
    for note in notes:
        assert not {"refunds", "total_taxes", "pre_payment_amount"} & note.keys()
        assert isinstance(note["tax_amounts"], list)
        assert all("taxes" not in line and "tax_amounts" in line for line in note["lines"]["data"])


def test_a_phase_has_a_coupon(api: Any) -> None:
    for schedule in olds(api, "subscription_schedules"):
        assert not {"billing_mode", "pause_schedules"} & schedule.keys()
        for phase in schedule["phases"]:
            assert phase["coupon"] is None
            assert "discounts" not in phase
    state = api.server.world.state
    discounts = [{"coupon": "LASTCALL", "discount": None, "promotion_code": None}]
    made = {"id": "x", "object": "subscription_schedule", "phases": [{"discounts": discounts, "items": []}]}
    assert old(made, state)["phases"][0]["coupon"] == "LASTCALL"


def test_a_quote_knows_no_billing_mode(api: Any) -> None:
    for quote in olds(api, "quotes"):
        assert "billing_mode" not in quote["subscription_data"]
        assert "provider" not in quote["automatic_tax"]


def test_no_event_of_the_company_is_too_new(api: Any) -> None:
    """What changed is told under its old name, and no newer object is left inside."""
    state = api.server.world.state
    for identifier in state["events"].ids:
        told = json.dumps(in_version(state["events"].shown(identifier), OLD, state))
        assert '"customer_account"' not in told
        assert '"total_taxes"' not in told
        assert '"latest_charge"' not in told

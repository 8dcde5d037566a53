"""By what rows and objects belong together is written, follows the row, and is found again as it was looked for."""

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from tests.support.desk import FEW, Desk, Shop, opened, stocked

from tidegate.errors import SyncInvalid
from tidegate.outbound import specs
from tidegate.workflows.outbound import sources, sync_history

SENT = {"collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 7}}


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("desk")) as desk:
        shop = stocked(desk)
        desk.learn()
        yield shop


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return shop.desk


def anew(desk: Desk, key: str) -> dict[str, int]:
    """What a plan counts once the sync remembers nothing."""
    sync_history.reset(desk.hub.engine, key, "me")
    return {kind: count for kind, count in desk.plan(key)["counts"].items() if count}


@pytest.mark.wide
def test_the_mark_is_written_as_it_is_looked_for_and_follows_its_row(desk: Desk) -> None:
    row = {"id": "1", "mark": "old  ", "name": "Ada"}
    desk.table("marks", row)
    desk.sync("marks", "customers", {"metadata": {"acc": "mark"}}, {"name": "name"})
    desk.run("marks")
    [made] = desk.marked("customers", "acc", "old")
    desk.asked()
    assert anew(desk, "marks") == {"nothing": 1}
    desk.run("marks")
    desk.table("marks", row | {"mark": "new"})
    assert desk.run("marks")["sent"] == {"update": 1}
    assert desk.asked() == [("POST", f"customers/{made['id']}", {"metadata": {"acc": "new"}})]
    assert anew(desk, "marks") == {"nothing": 1}


@pytest.mark.wide
def test_an_address_that_is_no_field_follows_its_row_and_is_not_held_against_stripe(desk: Desk) -> None:
    row = {"id": "1", "login": "login@marks.example", "name": "Ada"}
    desk.table("logins", row)
    desk.sync("logins", "customers", {"email": "login"}, {"name": "name"}, on_conflict="flag")
    desk.run("logins")
    [made] = desk.v1.customers.list({"email": "login@marks.example"}).data
    desk.v1.customers.update(made.id, {"email": "own@marks.example"})
    desk.catch_up()
    desk.asked()
    assert (desk.run("logins")["sent"], desk.asked()) == ({}, [])
    desk.v1.customers.update(made.id, {"email": "login@marks.example"})
    desk.catch_up()
    desk.asked()
    desk.table("logins", row | {"login": "new@marks.example"})
    desk.run("logins")
    assert desk.asked() == [("POST", f"customers/{made.id}", {"email": "new@marks.example"})]
    assert anew(desk, "logins") == {"nothing": 1}


@pytest.mark.wide
def test_addresses_are_compared_by_one_rule(desk: Desk) -> None:
    there = ["Jörg.STRAßE@marks.example", "ÖZGE@marks.example"]
    for email in there:
        desk.v1.customers.create({"email": email, "name": "Ada"})
    desk.catch_up()
    desk.asked()
    rows = [{"id": str(n), "email": email.lower(), "name": "Ada"} for n, email in enumerate(there)]
    desk.table("folded", *rows)
    desk.sync("folded", "customers", {"email": "email"}, {"name": "name"})
    desk.run("folded")
    assert desk.asked() == []
    desk.table("naming", *({"id": str(n), "mark": f"n{n}", "owner": email} for n, email in enumerate(there)))
    desk.sync("naming", "invoices", {"metadata": {"row": "mark"}}, {"customer": {"email": "owner"}, **SENT})
    assert desk.plan("naming")["counts"]["create"] == 2


@pytest.mark.wide
@pytest.mark.parametrize(
    ("match", "fields", "where"),
    [
        ({"metadata": {"acc": "mark"}}, {"metadata": {"acc": "other"}}, "fields.metadata.acc"),
        ({"metadata": {"acc": "mark"}}, {"metadata": {"acc": {"value": "x"}}}, "fields.metadata.acc"),
        ({"email": "login"}, {"email": "bill"}, "fields.email"),
        ({"email": "login"}, {"email": {"column": "bill"}}, "fields.email"),
    ],
)
@pytest.mark.wide
def test_what_rows_are_matched_by_is_filled_by_that_column_alone(
    desk: Desk, match: Any, fields: dict[str, Any], where: str
) -> None:
    with pytest.raises(SyncInvalid, match=f"{where}: rows are matched by the column"):
        desk.sync("refused", "customers", match, fields)


@pytest.mark.wide
def test_a_template_that_says_another_address_is_told_by_its_row(desk: Desk) -> None:
    desk.table("templates", {"id": "1", "email": "A@marks.example"}, {"id": "2", "email": "b@marks.example"})
    template = "{% if id == '2' %}x{% endif %}{{ email | downcase }}"
    desk.sync("templates", "customers", {"email": "email"}, {"email": {"template": template}})
    assert desk.run("templates", part=FEW)["sent"] == {"create": 1}
    assert desk.states("templates")["2"] == (
        "invalid", "email: rows are matched by the column email, and there it is b@marks.example"
    )  # fmt: skip


@pytest.mark.wide
def test_a_row_that_found_nothing_is_looked_at_once_something_is_there(desk: Desk) -> None:
    desk.table("waiting", *({"id": str(n), "email": f"{n}@waiting.example", "name": "Ada"} for n in range(3)))
    desk.sync("waiting", "customers", {"email": "email"}, {"name": "name"}, mode="update")
    assert desk.run("waiting")["counts"]["skip"] == 3
    assert desk.run("waiting")["counts"]["skip"] == 0
    made = desk.v1.customers.create({"email": "1@Waiting.example"}).id
    desk.catch_up()
    desk.asked()
    assert desk.run("waiting")["sent"] == {"update": 1}
    assert desk.asked() == [("POST", f"customers/{made}", {"name": "Ada"})]


@pytest.mark.wide
def test_an_address_goes_line_by_line_and_as_a_whole(desk: Desk) -> None:
    row = {"id": "1", "email": "lines@marks.example", "line": "S 1", "more": "2nd floor", "city": "Berlin"}
    desk.table("lines", row)
    fields = {"address": {"line1": "line", "line2": "more", "city": "city"}}
    desk.sync("lines", "customers", {"email": "email"}, fields)
    desk.run("lines")
    [made] = desk.v1.customers.list({"email": "lines@marks.example"}).data
    desk.table("lines", row | {"more": None})
    assert desk.run("lines")["sent"] == {"update": 1}
    assert desk.full("customers", made.id)["address"]["line2"] is None
    assert desk.full("customers", made.id)["address"]["line1"] == "S 1"
    desk.table("lines", row | {"line": None, "more": None, "city": None})
    assert desk.run("lines")["sent"] == {"update": 1}
    assert desk.full("customers", made.id)["address"] is None
    desk.catch_up()
    desk.asked()
    assert (desk.run("lines")["sent"], desk.asked()) == ({}, [])


@pytest.mark.wide
def test_nothing_is_prorated_as_stripe_likes(shop: Shop, desk: Desk) -> None:
    row = {"id": "1", "mark": "pro", "n": 1, "how": "none", "ends": None, "text": "x"}
    desk.table("pro", row)
    fields = {
        "customer": {"value": shop.customer}, "items": [{"price": {"value": shop.price}, "quantity": "n"}],
        "proration_behavior": "how", "cancel_at": "ends", "description": "text", **SENT,
    }  # fmt: skip
    desk.sync("pro", "subscriptions", {"metadata": {"row": "mark"}}, fields)
    desk.run("pro")
    desk.asked()
    for change, named in (({"n": 2}, "items"), ({"ends": "2031-01-01"}, "cancel_at")):
        desk.table("pro", row | change | {"how": None})
        desk.run("pro")
        assert desk.states("pro")["1"] == (
            "invalid", f"proration_behavior: say what {named} costs now: none, create_prorations or always_invoice"
        )  # fmt: skip
    assert desk.asked() == []
    desk.table("pro", row | {"text": "y", "how": None})
    assert desk.run("pro")["sent"] == {"update": 1}, "what is not billed needs no word"
    for name in ("trial_end", "billing_cycle_anchor", "cancel_at"):
        with pytest.raises(SyncInvalid, match=f"say what a change of {name} costs"):
            desk.sync("pro2", "subscriptions", {"id": "mark"}, {name: {"value": "2031-01-01"}}, mode="update")
    with pytest.raises(SyncInvalid, match="it is the time that a new subscription is billed from"):
        desk.sync("pro2", "subscriptions", {"id": "mark"},
                  {"billing_cycle_anchor": {"value": "now"}, "proration_behavior": {"value": "none"}})  # fmt: skip


@pytest.mark.wide
def test_a_value_that_cannot_be_told_stops_its_row_alone(desk: Desk) -> None:
    columns = "'Ada' as name, timestamp '2026-01-01' as since, 'a@odd.example' as email, 'x' as \"self\""
    with duckdb.connect(desk.path) as db:
        db.execute(f"""
create or replace table odd as select 1 as id, {columns} union all
select 2, 'Bo', timestamp 'infinity', 'b@odd.example', 'x' union all
select 3, 'Cy', timestamp '12000-01-01', 'c@odd.example', 'x' union all
select 4, 'Di', timestamp '2026-01-01', 'd' || chr(0) || '@odd.example', 'x' union all
select 5, 'E' || chr(0), timestamp '2026-01-01', 'e@odd.example', 'x'""")
    fields = {"name": "name", "description": {"template": "{{ self }}"}, "metadata": {"since": "since"}}
    desk.sync("odd", "customers", {"email": "email"}, fields)
    assert desk.run("odd")["sent"] == {"create": 1}
    states = desk.states("odd")
    assert {key: state for key, (state, _) in states.items()} == {
        "1": "sent", "2": "invalid", "3": "invalid", "4": "invalid", "5": "invalid",
    }  # fmt: skip
    assert states["2"][1] == "the column since: it is infinite, or beyond the years 1 to 9999"
    assert states["4"][1] == "the column email: it has the character NUL, which no text in Stripe can have"
    model = specs.model({"key": "odd", "source": "warehouse", "table": "odd", "primary_key": "id"})
    shown = sources.preview(desk.hub.engine, model, lambda source: source.shown)["rows"]
    assert shown[1]["since"] == "(it is infinite, or beyond the years 1 to 9999)"

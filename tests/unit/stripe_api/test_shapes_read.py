"""Reading costs no object for one bad field, no page for one bad object, and never raises."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.stripe_api.resources import RESOURCES, resource
from tidegate.stripe_api.shapes.read import Event, Fault, Page, Reading, Unreadable, read, read_event, read_page

INVOICE: dict[str, Any] = {
    "id": "in_1",
    "object": "invoice",
    "created": 1700000000,
    "livemode": True,
    "customer": "cus_1",
    "status": "paid",
    "total": 1500,
    "amount_due": 1500,
    "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}},
    "status_transitions": {"finalized_at": 1700000001, "paid_at": 1700000002},
    "discounts": [{"id": "di_1", "source": {"coupon": "SAVE"}}],
    "lines": {"object": "list", "data": [{"id": "il_1"}, {"id": "il_2"}], "has_more": True},
}


def invoice(**changes: Any) -> bytes:
    return json.dumps({**INVOICE, **changes}).encode()


def reading(name: str, body: bytes) -> Reading:
    found = read(resource(name), body)
    assert isinstance(found, Reading)
    return found


def columns(name: str, found: Reading) -> dict[str, Any]:
    return dict(zip((column.name for column in resource(name).columns), found.values, strict=True))


def test_a_sound_object() -> None:
    found = reading("invoices", invoice())
    assert (found.id, found.created, found.deleted, found.object, found.livemode, found.faults) == (
        *("in_1", 1700000000, False, "invoice", True),
        (),
    )
    ((nested, bodies, has_more),) = found.nested
    assert (nested.resource, [bytes(body) for body in bodies], has_more) == (
        "invoice_lines",
        [b'{"id": "il_1"}', b'{"id": "il_2"}'],
        True,
    )


def test_a_raw_slice_reads_like_bytes() -> None:
    assert reading("invoices", msgspec.Raw(invoice())).values == reading("invoices", invoice()).values


# fmt: off
# what is changed, the fields at fault, the columns that are lost by it
BROKEN: list[tuple[dict[str, Any], list[str], dict[str, Any]]] = [
    ({"total": "1500"}, ["total"], {"total": None}),
    ({"total": 1500.5}, ["total"], {"total": None}),
    ({"total": 2**63}, ["total"], {"total": None}),
    ({"total": True}, ["total"], {"total": None}),
    ({"customer": 7}, ["customer"], {"customer": None}),
    ({"customer": {"id": 7}}, ["customer.id"], {"customer": None}),
    ({"customer": ["cus_1"]}, ["customer"], {"customer": None}),
    ({"status": {"is": "paid"}}, ["status"], {"status": None, "paid": None}),
    ({"livemode": "yes"}, ["livemode"], {"livemode": None}),
    ({"created": "today"}, ["created"], {}),
    ({"created": 10**15}, ["created"], {}),
    ({"due_date": 10**15}, ["due_date"], {"due_date": None}),
    ({"status_transitions": {"finalized_at": 1700000001, "paid_at": "x"}}, ["status_transitions.paid_at"],
     {"paid_at": None}),
    ({"status_transitions": "x"}, ["status_transitions"], {"paid_at": None, "finalized_at": None}),
    ({"parent": {"subscription_details": {"subscription": 4}}}, ["parent.subscription_details.subscription"],
     {"subscription": None}),
    ({"discounts": [7, {"id": "di_1", "source": {"coupon": "SAVE"}}]}, ["discounts[0]"], {}),
    ({"discounts": [{"id": "di_1", "end": "x", "source": {"coupon": "SAVE"}}]}, ["discounts[0].end"], {}),
    ({"discounts": {}}, ["discounts"], {"coupons": []}),
    ({"metadata": {"a": "b", "c": 1}}, ["metadata.c"], {}),
    ({"total": "x", "customer": 1}, ["customer", "total"], {"total": None, "customer": None}),
    ({"number": "a\0b"}, ["number"], {"number": None}),
]
# fmt: on


@pytest.mark.parametrize(("changes", "faults", "lost"), BROKEN, ids=lambda value: str(value)[:50])
def test_a_field_that_does_not_fit_costs_only_itself(
    changes: dict[str, Any], faults: list[str], lost: dict[str, Any]
) -> None:
    found = reading("invoices", invoice(**changes))
    assert [fault.field for fault in found.faults] == faults
    assert all(fault.reason for fault in found.faults)
    assert columns("invoices", found) == {**columns("invoices", reading("invoices", invoice())), **lost}
    assert len(found.nested) == 1
    assert found.id == "in_1"


@pytest.mark.parametrize("changes", [{"lines": None}, {"lines": {}}, {"lines": {"object": "list"}}])
def test_a_list_that_is_not_told_is_no_empty_list(changes: dict[str, Any]) -> None:
    found = reading("invoices", invoice(**changes))
    assert (found.nested, found.faults) == ((), ())


def test_an_unfit_list_is_a_fault_and_no_empty_list() -> None:
    found = reading("invoices", invoice(lines={"data": 7, "has_more": False}))
    assert ([fault.field for fault in found.faults], found.nested) == (["lines.data"], ())


@pytest.mark.parametrize(("written", "value"), [("1500.0", 1500), ("1.5e3", 1500), ("-0.0", 0), ("9e18", 9 * 10**18)])
def test_integral_floats_are_integers(written: str, value: int) -> None:
    found = reading("invoices", invoice().replace(b'"total": 1500', f'"total": {written}'.encode()))
    assert (columns("invoices", found)["total"], found.faults) == (value, ())


def test_null_means_the_default() -> None:
    nothing = json.dumps({"id": "x_1", **{column.name: None for r in RESOURCES.values() for column in r.columns}})
    for name in RESOURCES:
        found = reading(name, nothing.encode())
        assert found.faults == ()
        assert all(value in (None, []) for value in found.values)


def test_an_item_that_does_not_fit_leaves_the_subscription_its_period() -> None:
    items = [{"id": "si_1", "current_period_end": "soon"}, 7, {"id": "si_3", "current_period_end": 50}]
    found = reading("subscriptions", json.dumps({"id": "sub_1", "items": {"data": items}}).encode())
    assert (columns("subscriptions", found)["current_period_end"], found.faults) == (50, ())
    assert [isinstance(read(resource("subscription_items"), body), Reading) for body in found.nested[0][1]] == [
        *(True, False, True)
    ]


def test_tombstones() -> None:
    found = reading("customers", b'{"id":"cus_1","object":"customer","deleted":true}')
    assert (found.deleted, found.created) == (True, None)


# fmt: off
UNREADABLE: list[tuple[bytes, str | None]] = [
    (b"", None), (b"null", None), (b"[1]", None), (b"7", None), (b"{}", None), (b'{"id":null}', None),
    (b'{"id":""}', None), (b'{"id":7}', None), (b'{"id":"in_1"', None), (b'{"id":"in_\\u0000"}', None),
    (b'{"id":"in_1"} and more', None), (b'{"id":"in_1","total":NaN}', "in_1"), (b"\xef\xbb\xbf{}", None),
    (b'{"id":"in_1","x":' + b"[" * 5000 + b"]" * 5000 + b"}", None),
]
# fmt: on


@pytest.mark.parametrize(("body", "known"), UNREADABLE, ids=lambda value: str(value)[:40])
def test_what_is_no_envelope_is_unreadable(body: bytes, known: str | None) -> None:
    found = read(resource("invoices"), body)
    assert isinstance(found, Unreadable)
    assert found.id == known
    assert found.reason


HALF = b'"\\ud83d"'


@pytest.mark.parametrize(
    ("body", "faults", "name"),
    [
        (b'{"id":"cus_1","email":"a@b.c","name":' + HALF + b"}", ["name"], None),
        (b'{"id":"cus_1","email":"a@b.c","unknown":' + HALF + b"}", [], None),
        (b'{"id":"cus_1","email":"a@b.c","name":"\xff"}', ["name"], None),
        (b'{"id":"cus_1","email":"a@b.c","name":"\\ud83d\\ude00 \\\\ud83d"}', [], "😀 \\ud83d"),
    ],
)
def test_text_that_is_no_text(body: bytes, faults: list[str], name: str | None) -> None:
    found = reading("customers", body)
    assert (found.id, [fault.field for fault in found.faults]) == ("cus_1", faults)
    assert (columns("customers", found)["email"], columns("customers", found)["name"]) == ("a@b.c", name)


def test_one_bad_object_costs_no_page() -> None:
    body = b'{"object":"list","data":[{"id":"cus_1","name":' + HALF + b'},{"id":"cus_2"},7],"has_more":true}'
    page = read_page(body)
    assert isinstance(page, Page)
    assert page.has_more
    first, second, third = (read(resource("customers"), raw) for raw in page.data)
    assert isinstance(first, Reading)
    assert (first.id, first.faults) == ("cus_1", (Fault("name", "holds half of a surrogate pair"),))
    assert HALF in bytes(page.data[0])
    assert isinstance(second, Reading)
    assert isinstance(third, Unreadable)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data":{}}', b'{"error":{}}', b'{"data":[{"id":1}', b'{"data":null}'])
def test_what_is_no_list_is_unreadable(body: bytes) -> None:
    assert isinstance(read_page(body), Unreadable)


EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.updated",
    "created": 1700000000,
    "api_version": "2024-06-20",
    "account": "acct_1",
    "livemode": False,
    "data": {"object": {"id": "cus_1", "object": "customer"}, "previous_attributes": {"name": "x"}},
}


def test_an_event() -> None:
    event = read_event(json.dumps(EVENT).encode())
    assert not isinstance(event, Unreadable)
    assert (event.id, event.type, event.created, event.api_version) == (
        *("evt_1", "customer.updated", 1700000000, "2024-06-20"),
    )
    assert (event.account, event.livemode, event.object_type, event.object_id) == ("acct_1", False, "customer", "cus_1")
    assert event.previous_attributes is not None
    assert json.loads(bytes(event.previous_attributes)) == {"name": "x"}


def test_an_event_with_text_that_is_no_text() -> None:
    body = json.dumps(EVENT).replace('"x"', HALF.decode()).replace('"cus_1"', '"cus_1", "name": ' + HALF.decode())
    event = read_event(body.encode())
    assert not isinstance(event, Unreadable)
    assert (event.id, event.object_type, event.object_id) == ("evt_1", "customer", "cus_1")
    assert HALF in bytes(event.object)
    assert [fault.field for fault in reading("customers", bytes(event.object)).faults] == ["name"]


@pytest.mark.parametrize(
    "changes",
    [{"id": None}, {"type": 1}, {"created": "x"}, {"data": None}, {"data": {}}, {"data": {"object": 7}}, {"data": []}],
)
def test_what_is_no_event_is_unreadable(changes: dict[str, Any]) -> None:
    event = read_event(json.dumps({**EVENT, **changes}).encode())
    assert isinstance(event, Unreadable)
    assert event.id == (None if "id" in changes else "evt_1")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def odd_objects(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose fields are the shape's, but hold anything."""
    fields = [field.encode_name for field in msgspec.structs.fields(resource(name).shape)]
    return st.dictionaries(st.sampled_from(fields), anything, max_size=6)


@pytest.mark.parametrize("name", list(RESOURCES))
@settings(max_examples=30)
@given(data=st.data())
def test_reading_never_raises(name: str, data: st.DataObject) -> None:
    body = data.draw(odd_objects(name)) | data.draw(st.sampled_from([{}, {"id": "x_1"}]))
    found = read(resource(name), json.dumps(body).encode())
    if isinstance(found, Unreadable):
        return
    assert found.id
    assert len(found.values) == len(resource(name).columns)
    for column, value in zip(resource(name).columns, found.values, strict=True):
        fits = {
            "text": lambda v: isinstance(v, str) and "\0" not in v,
            "bigint": lambda v: type(v) is int and -(2**63) <= v < 2**63,
            "timestamptz": lambda v: type(v) is int,
            "boolean": lambda v: isinstance(v, bool),
            "text[]": lambda v: all(isinstance(each, str) and "\0" not in each for each in v),
        }[column.type]
        assert value is None or fits(value), (column, value)


@given(st.binary(max_size=60))
def test_bytes_never_raise(body: bytes) -> None:
    read(resource("invoices"), body)
    read_page(body)
    read_event(body)


def test_what_an_event_carries_is_kept_to_the_byte() -> None:
    """Also its `previous_attributes`: what is written anew costs a millisecond and is another text."""
    body = (
        b'{"id": "evt_1", "type": "x", "created": 1, "data": {"object": {"id" :  "cus_1"}, "previous_attributes": %s}}'
    )
    told = read_event(body % b'{"name" :  null}')
    assert isinstance(told, Event)
    assert told.previous_attributes is not None
    assert (bytes(told.object), bytes(told.previous_attributes)) == (b'{"id" :  "cus_1"}', b'{"name" :  null}')
    nothing = read_event(body % b"null")
    assert isinstance(nothing, Event)
    assert nothing.previous_attributes is None

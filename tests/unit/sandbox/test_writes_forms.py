from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from tidegate.sandbox.answers import Refusal, Request
from tidegate.sandbox.forms import Tree, elements, pairs_of, tree_of
from tidegate.sandbox.params import checked, kind_of
from tidegate.sandbox.writes.table import WRITES

names = st.text("abcxyz_-. äß€&=+%", min_size=1, max_size=8)
leaves = st.text(max_size=12) | st.integers()  # the SDK itself writes a boolean in a list as True, which no one reads
trees = st.dictionaries(
    names,
    st.booleans()
    | st.recursive(
        leaves,
        lambda inner: st.lists(inner, min_size=1, max_size=12) | st.dictionaries(names, inner, min_size=1, max_size=4),
        max_leaves=20,
    ),
    max_size=5,
)


def texts(value: Any) -> Any:
    """A value with its scalars as a form has them."""
    if isinstance(value, dict):
        return {name: texts(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [texts(inner) for inner in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def decoded(node: str | Tree) -> Any:
    if isinstance(node, str):
        return node
    listed = elements(node)
    return {k: decoded(v) for k, v in node.items()} if listed is None else [decoded(v) for v in listed]


@given(trees)
def test_what_the_sdk_encodes_is_read_as_it_was(params: dict[str, Any]) -> None:
    body = urlencode(list(_api_encode(params))).encode()
    tree = tree_of(pairs_of(Request("POST", "/v1/x", [], {}, body)))
    assert {name: decoded(value) for name, value in tree.items()} == texts(params)


@pytest.mark.parametrize(
    ("pairs", "tree"),
    [
        ([("a", "1"), ("a", "2")], {"a": "2"}),
        ([("e[]", "x"), ("e[]", "y")], {"e": {"0": "x", "1": "y"}}),
        (
            [("i[][p]", "a"), ("i[][q]", "1"), ("i[][p]", "b")],
            {"i": {"0": {"p": "a", "q": "1"}, "1": {"p": "b"}}},
        ),
        ([("m[k]", "")], {"m": {"k": ""}}),
    ],
)
def test_what_other_clients_encode(pairs: list[tuple[str, str]], tree: Tree) -> None:
    assert tree_of(pairs) == tree


@pytest.mark.parametrize("name", ["a[", "a[b", "[a]", "a[b]c"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        tree_of([(name, "1")])
    assert (refused.value.status, refused.value.code) == (400, "parameter_unknown")


@pytest.mark.parametrize("pairs", [[("a", "1"), ("a[b]", "2")], [("a[b]", "2"), ("a", "1")]])
def test_a_name_is_a_value_or_a_tree(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(Refusal) as refused:
        tree_of(pairs)
    assert refused.value.message == "Invalid object"


@pytest.mark.parametrize(
    ("body", "kind", "wrong"),
    [
        (b'{"email": "a"}', b"application/json", "content type"),
        (b"email=%FF", b"application/x-www-form-urlencoded", "UTF-8"),
        (b"email=\xff", b"application/x-www-form-urlencoded; charset=utf-8", "UTF-8"),
    ],
)
def test_bodies_that_are_no_form(body: bytes, kind: bytes, wrong: str) -> None:
    with pytest.raises(Refusal) as refused:
        pairs_of(Request("POST", "/v1/customers", [], {b"content-type": kind}, body))
    assert wrong in refused.value.message


SUBSCRIPTION = ("items", "metadata", "trial_end", "cancel_at_period_end", "discounts", "default_tax_rates")


def test_values_have_the_types_of_the_sdk() -> None:
    tree = tree_of(
        [
            ("items[0][price]", "price_1"),
            ("items[0][quantity]", "3"),
            ("items[1][id]", "si_1"),
            ("items[1][deleted]", "true"),
            ("metadata[0]", "zero"),
            ("metadata[gone]", ""),
            ("trial_end", "now"),
            ("cancel_at_period_end", "false"),
            ("discounts", ""),
            ("expand[0]", "customer"),
        ]
    )
    assert checked(tree, "SubscriptionUpdateParams", SUBSCRIPTION) == {
        "items": [{"price": "price_1", "quantity": 3}, {"id": "si_1", "deleted": True}],
        "metadata": {"0": "zero", "gone": ""},
        "trial_end": "now",
        "cancel_at_period_end": False,
        "discounts": [],
    }
    assert checked({"metadata": ""}, "SubscriptionUpdateParams", SUBSCRIPTION) == {"metadata": None}
    assert checked({"percent_off": "12.5"}, "CouponCreateParams", ["percent_off"]) == {"percent_off": 12.5}
    price = {"currency": "usd", "unit_amount_decimal": "0.50"}
    assert checked(tree_of(price.items()), "PriceCreateParams", price) == price


@pytest.mark.parametrize(
    ("params", "pairs", "message", "code", "param"),
    [
        ("CustomerCreate", {"emial": "x"}, "Received unknown parameter: emial", "parameter_unknown", "emial"),
        (
            "SubscriptionUpdate",
            {"items[0][prize]": "x"},
            "Received unknown parameter: items[0][prize]",
            "parameter_unknown",
            "items[0][prize]",
        ),
        ("ProductCreate", {}, "Missing required param: name.", "parameter_missing", "name"),
        (
            "PriceCreate",
            {"currency": "usd", "tiers[0][unit_amount]": "1"},
            "Missing required param: tiers[0][up_to].",
            "parameter_missing",
            "tiers[0][up_to]",
        ),
        ("CustomerUpdate", {"balance": "1.5"}, "Invalid integer: 1.5", "parameter_invalid_integer", "balance"),
        ("CustomerUpdate", {"balance": ""}, "You passed an empty string", "parameter_invalid_empty", "balance"),
        ("ProductCreate", {"name": ""}, "You passed an empty string", "parameter_invalid_empty", "name"),
        ("ProductUpdate", {"active": "yes"}, "Invalid boolean: yes", None, "active"),
        ("CouponCreate", {"percent_off": "much"}, "Invalid number: much", None, "percent_off"),
        ("CouponCreate", {"percent_off": "NaN"}, "Invalid number: NaN", None, "percent_off"),
        (
            "CouponCreate",
            {"duration": "daily"},
            "Invalid duration: must be one of forever, once, or repeating",
            None,
            "duration",
        ),
        ("CustomerUpdate", {"preferred_locales": "de"}, "Invalid array", None, "preferred_locales"),
        ("CustomerUpdate", {"preferred_locales[a]": "de"}, "Invalid array", None, "preferred_locales"),
        ("CustomerUpdate", {"address": "Main St"}, "Invalid object", None, "address"),
        ("CustomerUpdate", {"name[first]": "Ada"}, "Invalid string", None, "name"),
        ("CustomerCreate", {"tax[ip_address]": "::1"}, "The sandbox does not act", "parameter_not_served", None),
    ],
)
def test_parameters_that_are_refused(
    params: str, pairs: dict[str, str], message: str, code: str | None, param: str | None
) -> None:
    served = [name for name in kind_of(f"{params}Params").fields if name != "tax"]
    with pytest.raises(Refusal) as refused:
        checked(tree_of(pairs.items()), f"{params}Params", served)
    assert refused.value.status == 400
    assert refused.value.message.startswith(message)
    assert refused.value.code == code
    assert param is None or refused.value.param == param


@pytest.mark.parametrize("write", WRITES, ids=lambda write: f"{write.method} {write.template}")
def test_what_a_write_serves_is_known_to_the_sdk(write: Any) -> None:
    kind = kind_of(write.params)
    for name in write.served:
        at = kind
        for step in name.replace("]", "").split("["):
            at = at.of if at.name == "list" and at.of else at
            assert step in at.fields, name
            at = at.fields[step]
    assert {name.split("[")[0] for name in write.served} >= kind.required

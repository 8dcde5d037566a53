"""tidegate.yaml as it is read: every mistake is told with its line and the nearest valid name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import CatalogInvalid, ConfigInvalid
from tidegate.workflows.config.config_sections import read
from tidegate.workflows.config.config_yaml import dump, load, value_of

SAMPLE = """
features:
  - {key: seats, type: metered, unit: seat}
  - {key: sso, type: boolean}
packages:
  - key: pro
    features: {seats: {limit: 10, reset: never}, sso: true}
    prices: [{amount: 4900, currency: usd, interval: month}]
  - {key: extra-seats, kind: add_on, features: {seats: {limit: 5}}}
mappings:
  - {price: price_123, package: pro}
  - {price: price_9, feature: seats, limit: 1, reset: never, per_quantity: true}
  - {product: prod_9, feature: sso, value: true, connection: live}
contacts: {kind: account, metadata_keys: [workspace_id], create_missing: true}
"""


def test_the_sections_are_read() -> None:
    found = read(SAMPLE, "f.yaml", {})
    assert [one.key for one in found.features or ()] == ["seats", "sso"]
    assert found.packages is not None
    assert found.packages[0].features == {"seats": {"limit": 10, "reset": "never"}, "sso": True}
    assert found.mappings is not None
    assert found.mappings[1].terms == {"limit": 1, "reset": "never"}
    assert found.mappings[2].connection == "live"
    assert found.contacts is not None
    assert found.contacts[0].settings == {
        "kind": "account",
        "metadata_keys": ["workspace_id"],
        "create_missing": True,
    }


def test_a_section_that_the_file_lacks_is_not_an_empty_one() -> None:
    found = read("features: []\n", "f.yaml", {})
    assert (found.features, found.packages) == ([], None)
    assert read("", "f.yaml", {}).features is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fetures: []", "line 1: there is no section fetures. Did you mean features?"),
        ("features:\n- {key: a, tpye: boolean}", "line 2: there is no key tpye. Did you mean type?"),
        ("features:\n- key: a\n  type: boolan", "line 3: features → type: input should be 'boolean'"),
        ("features:\n- {key: a}", "line 2: features → type: field required"),
        ("features: {key: a}", "line 1: features is a list"),
        ("mappings:\n- {price: p, pakage: pro}", "Did you mean package?"),
        (
            "stages:\n- {key: a, when: {field: mrr, is: 2026-02-30}}",
            "line 2: '2026-02-30' is no value that there can be",
        ),
        ("[" * 10_000, "nested too deep"),
        (
            "contacts:\n  kind: account\n  create_mising: true",
            "there is no key create_mising. Did you mean create_missing?",
        ),
        ("features:\n- {key: a, type: boolean, key: b}", "line 2: key stands here twice"),
        ("features: []\nfeatures: []", "line 2: features stands here twice"),
        ("features:\n  - [", "line 2:"),
        ("- 1", "line 1: a file says sections"),
        ("1: 2", "the key 1 is no text"),
        ("a: &x [*x]", "nested too deep"),
        ("packages:\n- key: a\n  name: {env: NAME}", "line 3: packages.0.name is to come from the environment"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        read(text, "f.yaml", {})
    assert str(refused.value).startswith("f.yaml cannot be taken:")
    assert told in str(refused.value)


def test_any_value_may_come_from_the_environment() -> None:
    text = """
packages:
  - key: {env: KEY}
    features: {seats: {limit: {env: SEATS}}, sso: {env: SSO}}
mappings:
  - {price: {env: PRICE}, package: pro, per_quantity: {env: SSO}}
"""
    environment = {"KEY": "pro", "SEATS": "10", "SSO": "true", "PRICE": "price_1"}
    found = read(text, "f.yaml", environment)
    assert found.packages is not None
    assert found.mappings is not None
    assert (found.packages[0].key, found.packages[0].features) == ("pro", {"seats": {"limit": 10}, "sso": True})
    assert (found.mappings[0].price, found.mappings[0].per_quantity) == ("price_1", True)


def test_words_that_older_yaml_takes_for_truth_are_text() -> None:
    assert load("country: no\non: {x: off}", "f", {}).values == {"country": "no", "on": {"x": "off"}}


@pytest.mark.parametrize(
    ("said", "value"), [("a=1", 1), ("a=true", True), ("a={limit: 2}", {"limit": 2}), ("a=", None), ("a=x=y", "x=y")]
)
def test_a_value_on_the_command_line_is_yaml(said: str, value: Any) -> None:
    assert value_of(said, "--feature") == ("a", value)


@pytest.mark.parametrize("said", ["a", "=1", "a=[", "a={x"])
def test_a_value_on_the_command_line_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(CatalogInvalid, match="--feature"):
        value_of(said, "--feature")


leaf = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))
)
plain = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz-_ .é", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", min_size=1), st.lists(plain, max_size=3) | plain, min_size=1, max_size=3))
def test_what_is_written_reads_the_same(values: dict[str, Any]) -> None:
    assert load(dump(values), "f", {}).values == values

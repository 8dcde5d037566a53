"""Whom a customer stands for: every sentence of semantics, Contacts, on matching, as a row of a table."""

import itertools

import pytest

from tidegate.contacts.addresses import company_domain, registrable
from tidegate.contacts.match import (
    Candidates,
    Create,
    Customer,
    LeftAlone,
    Linked,
    MatchPolicy,
    Outcome,
    Queued,
    Standing,
    fold,
    match,
    new_id,
)

ADA = Customer("cus_1", email="Ada@Acme.com", name="Ada", metadata={"workspace_id": "w1"}, domain="acme.com")
PLAIN = Customer("cus_1", email="Ada@Acme.com", domain="acme.com")
KEYS = MatchPolicy(metadata_keys=("workspace_id", "account"))
CREATING = MatchPolicy(create_missing=True)
EVERYTHING = Candidates(by_id={"w1": 1}, by_email=(2,), by_domain=(3,))


@pytest.mark.parametrize(
    ("customer", "standing", "candidates", "policy", "outcome"),
    [
        pytest.param(
            ADA, Standing(9, "manual"), EVERYTHING, KEYS, Linked(9, "manual", {}), id="a manual link survives all"
        ),
        pytest.param(
            ADA, Standing(None, "manual"), EVERYTHING, KEYS, LeftAlone("unlinked_by_hand"), id="unlinked by hand stays"
        ),
        pytest.param(
            ADA, Standing(9, "billing_id"), EVERYTHING, KEYS, Linked(9, "billing_id", {}), id="your billing id next"
        ),
        pytest.param(
            ADA,
            None,
            EVERYTHING,
            KEYS,
            Linked(1, "metadata", {"metadata_key": "workspace_id", "value": "w1"}),
            id="metadata beats e-mail",
        ),
        pytest.param(
            ADA,
            Standing(2, "email"),
            EVERYTHING,
            KEYS,
            Linked(1, "metadata", {"metadata_key": "workspace_id", "value": "w1"}),
            id="metadata beats a link by e-mail that stands",
        ),
        pytest.param(
            Customer("cus_1", metadata={"account": "a", "workspace_id": " w1 "}),
            None,
            Candidates(by_id={"a": 5, "w1": 1}),
            KEYS,
            Linked(1, "metadata", {"metadata_key": "workspace_id", "value": "w1"}),
            id="metadata keys in their order",
        ),
        pytest.param(
            ADA,
            None,
            Candidates(by_email=(2,)),
            KEYS,
            Linked(2, "email", {"email": "ada@acme.com"}),
            id="an unknown id in the metadata: the e-mail decides",
        ),
        pytest.param(
            PLAIN,
            Standing(7, "email"),
            Candidates(by_email=(2,)),
            KEYS,
            Linked(7, "email", {}),
            id="a link holds though the address is another's now",
        ),
        pytest.param(
            PLAIN,
            Standing(3, "domain"),
            EVERYTHING,
            MatchPolicy(),
            Linked(2, "email", {"email": "ada@acme.com"}),
            id="an e-mail beats a link by domain that stands",
        ),
        pytest.param(
            PLAIN,
            Standing(3, "domain"),
            Candidates(by_email=(2, 4), by_domain=(3,)),
            MatchPolicy(),
            Linked(3, "domain", {}),
            id="two e-mails are not surer than a domain",
        ),
        pytest.param(
            PLAIN,
            Standing(9, "domain"),
            Candidates(by_domain=(3,)),
            MatchPolicy(),
            Linked(9, "domain", {}),
            id="another domain is no surer",
        ),
        pytest.param(
            PLAIN,
            Standing(9, "created"),
            EVERYTHING,
            MatchPolicy(),
            Linked(9, "created", {}),
            id="a contact made of it is surer than an e-mail",
        ),
        pytest.param(
            ADA,
            Standing(9, "created", may_be_named=True),
            Candidates(by_email=(9,)),
            KEYS,
            Linked(9, "created", {"metadata": {"workspace_id": "w1"}, "email": "ada@acme.com"}, named="w1"),
            id="an id that nobody has names the contact made of it",
        ),
        pytest.param(
            ADA,
            Standing(9, "created", may_be_named=True),
            Candidates(by_id={"w1": 9}),
            KEYS,
            Linked(9, "created", {}),
            id="which is then its id",
        ),
        pytest.param(
            ADA,
            Standing(9, "created", may_be_named=True),
            EVERYTHING,
            KEYS,
            Linked(1, "metadata", {"metadata_key": "workspace_id", "value": "w1"}),
            id="an id that another has moves it there",
        ),
        pytest.param(
            ADA,
            Standing(9, "email"),
            Candidates(by_email=(9,)),
            KEYS,
            Linked(9, "email", {}),
            id="an unknown id names nobody that was not made of it",
        ),
        pytest.param(
            PLAIN, None, EVERYTHING, MatchPolicy(), Linked(2, "email", {"email": "ada@acme.com"}), id="one by e-mail"
        ),
        pytest.param(
            PLAIN,
            None,
            Candidates(by_email=(2, 4)),
            CREATING,
            Queued("conflict", (2, 4), {"email": "ada@acme.com", "conflict": "email"}),
            id="two contacts with one e-mail: never the first, never a new one",
        ),
        pytest.param(
            PLAIN,
            None,
            Candidates(by_domain=(3,)),
            CREATING,
            Linked(3, "domain", {"domain": "acme.com"}),
            id="one account by domain",
        ),
        pytest.param(
            PLAIN,
            None,
            Candidates(by_domain=(3, 6)),
            CREATING,
            Queued("conflict", (3, 6), {"email": "ada@acme.com", "domain": "acme.com", "conflict": "domain"}),
            id="two accounts of one domain",
        ),
        pytest.param(
            PLAIN,
            None,
            Candidates(by_domain=(3,)),
            MatchPolicy(kind="user"),
            Queued("no_match", (), {"email": "ada@acme.com"}),
            id="domains are for accounts only",
        ),
        pytest.param(
            Customer("cus_1", email="ada@gmail.com", domain=company_domain("ada@gmail.com")),
            None,
            Candidates(by_domain=(3,)),
            MatchPolicy(),
            Queued("no_match", (), {"email": "ada@gmail.com"}),
            id="never by a free-mail domain",
        ),
        pytest.param(
            PLAIN,
            None,
            Candidates(),
            CREATING,
            Create("ada@acme.com", {"email": "ada@acme.com", "domain": "acme.com"}),
            id="made",
        ),
        pytest.param(Customer("cus_1"), None, Candidates(), CREATING, Create("cus_1", {}), id="made without an e-mail"),
        pytest.param(
            PLAIN,
            None,
            Candidates(taken=True),
            CREATING,
            Queued(
                "conflict",
                (),
                {
                    "email": "ada@acme.com",
                    "domain": "acme.com",
                    "conflict": "external_id",
                    "external_id": "ada@acme.com",
                },
            ),
            id="its id is taken",
        ),
        pytest.param(
            PLAIN,
            None,
            Candidates(),
            MatchPolicy(),
            Queued("no_match", (), {"email": "ada@acme.com", "domain": "acme.com"}),
            id="nobody is made silently",
        ),
        pytest.param(
            ADA,
            None,
            Candidates(),
            KEYS,
            Queued(
                "id_unknown", (), {"metadata": {"workspace_id": "w1"}, "email": "ada@acme.com", "domain": "acme.com"}
            ),
            id="an id that nobody has",
        ),
        pytest.param(
            Customer("cus_1", email="a@b.de", subscribed=False),
            None,
            EVERYTHING,
            CREATING,
            LeftAlone("no_subscription"),
            id="without a subscription: left alone",
        ),
        pytest.param(
            Customer("cus_1", email="a@b.de", subscribed=False),
            None,
            EVERYTHING,
            MatchPolicy(only_subscribed=False),
            Linked(2, "email", {"email": "a@b.de"}),
            id="unless the settings say so",
        ),
        pytest.param(Customer("cus_1", deleted=True), None, EVERYTHING, CREATING, LeftAlone("deleted"), id="deleted"),
        pytest.param(
            Customer("cus_1", deleted=True),
            Standing(2, "email"),
            EVERYTHING,
            CREATING,
            Linked(2, "email", {}),
            id="a deleted customer stays whose it was",
        ),
    ],
)
def test_whom_a_customer_stands_for(
    customer: Customer, standing: Standing | None, candidates: Candidates, policy: MatchPolicy, outcome: Outcome
) -> None:
    assert match(customer, standing, candidates, policy) == outcome


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Acme.com", "ada@acme.COM "),
        ("STRASSE@x.de", "straße@X.de"),
        ("ΣΊΣΥΦΟΣ@x.gr", "σίσυφος@x.gr"),
        ("Jose\u0301@x.es", "josé@X.es"),
        ("ZOE\u0308@caf\u00e9.fr", "zoë@cafe\u0301.fr"),
    ],
)
def test_addresses_are_compared_case_folded(one: str, other: str) -> None:
    assert fold(one) == fold(other)
    assert new_id(Customer("cus_1", email=one)) == fold(other)


@pytest.mark.parametrize(
    ("email", "domain"),
    [
        ("ada@mail.acme.co.uk", "acme.co.uk"),
        ("ada@ACME.com.", "acme.com"),
        ("ada@bücher.de", "bücher.de"),
        ("ada@bu\u0308cher.de", "bücher.de"),
        ("ada@gmail.com", ""),
        ("ada@Yahoo.co.jp", ""),
        ("ada@localhost", ""),
        ("no address", ""),
        ("", ""),
    ],
)
def test_the_domain_of_a_company(email: str, domain: str) -> None:
    assert company_domain(email) == domain


def test_more_providers_of_mail_can_be_named() -> None:
    assert company_domain("ada@regional.example.com", frozenset({"example.com"})) == ""
    assert registrable("a.b.example.com") == "example.com"


def test_the_order_of_candidates_decides_nothing() -> None:
    for order in itertools.permutations((2, 4, 6)):
        outcome = match(PLAIN, None, Candidates(by_email=order), CREATING)
        assert isinstance(outcome, Queued)
        assert set(outcome.candidates) == {2, 4, 6}

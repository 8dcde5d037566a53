"""What a page leads to keeps the connection that the page's address names."""

import pytest

from tidegate.web.keeping import address, kept


@pytest.mark.parametrize(
    ("of", "then"),
    [
        ("/contacts", "/contacts?connection=eu"),
        ("/contacts/acme%3Aone", "/contacts/acme%3Aone?connection=eu"),
        ("/contacts.csv?sort=mrr", "/contacts.csv?connection=eu&sort=mrr"),
        ("/revenue/explain?contact=cus_1#si_1", "/revenue/explain?connection=eu&contact=cus_1#si_1"),
        ("/", "/?connection=eu"),
        ("/revenue?connection=us", "/revenue?connection=us"),
        ("/revenue?a=1&connection=us", "/revenue?a=1&connection=us"),
        ("/contactsandmore", "/contactsandmore"),
        ("/users", "/users"),
        ("/stages", "/stages?connection=eu"),
        ("/health/spread", "/health/spread?connection=eu"),
        ("/segments/edit?key=a", "/segments/edit?connection=eu&key=a"),
        ("/alerts?contact=account:acme", "/alerts?connection=eu&contact=account:acme"),
        ("/packages/pro", "/packages/pro?connection=eu"),
        ("/features.csv", "/features.csv?connection=eu"),
    ],
)
def test_an_address_that_is_about_a_connection_names_it(of: str, then: str) -> None:
    assert address(of, "eu") == then


def test_a_name_that_means_something_in_an_address_is_written_for_it() -> None:
    page = '<a href="/contacts">x</a><form action="/contacts"><button>y</button></form>'
    assert kept(page, 'a&"b') == (
        '<a href="/contacts?connection=a%26%22b">x</a><form action="/contacts?connection=a%26%22b">'
        '<input type="hidden" name="connection" value="a&amp;&quot;b"><button>y</button></form>'
    )


def test_forms_that_ask_name_it_in_a_field_and_once() -> None:
    asks = '<form class="x" action="/revenue"><select name="connection"></select></form>'
    assert kept(asks, "eu").count("connection=eu") == 1, "its address; a browser drops that for the field"
    posts = kept('<form method="post" action="/contacts/link/a?x=1&amp;y=2"></form>', "eu")
    assert posts == '<form method="post" action="/contacts/link/a?connection=eu&amp;x=1&amp;y=2"></form>'
    assert kept('<form action="/users"></form><a href="https://stripe.com/contacts">x</a>', "eu") == (
        '<form action="/users"></form><a href="https://stripe.com/contacts">x</a>'
    )

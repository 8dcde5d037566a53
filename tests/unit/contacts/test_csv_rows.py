"""CSV lines to records: what is taken, and what is wrong with which line."""

import pytest

from tidegate.contacts.csv_rows import Line, read
from tidegate.contacts.records import Record, problems_of


def lines(text: str) -> list[Line]:
    return list(read(text.splitlines(keepends=True), "account"))


def test_a_line_is_a_record_with_several_addresses_and_typed_properties() -> None:
    text = (
        "id,kind,emails,name,domains,account,role,owner,properties,properties.seats,properties.zip,billing_ids\n"
        '\n acme ,,Ada@Acme.com; b@acme.com ;,"Acme, Inc.",acme.com,,,eve,"{""plan"": [1]}",12,00123,cus_1;cus_2\n'
        'u1,user,,"Two\nlines",,acme,owner,,,true,1e999,\n'
    )
    first, second = lines(text)
    assert first == Line(
        3,
        Record(
            "account",
            "acme",
            "Acme, Inc.",
            ("Ada@Acme.com", "b@acme.com"),
            ("acme.com",),
            owner="eve",
            properties={"plan": [1], "seats": 12, "zip": "00123"},
            billing_ids=("cus_1", "cus_2"),
        ),
        [],
    )
    assert (second.number, second.problems) == (4, [])
    assert second.record.properties == {"seats": True, "zip": "1e999"}
    assert (second.record.account, second.record.role) == ("acme", "owner")


@pytest.mark.parametrize(
    ("text", "number", "says"),
    [
        ("", 1, "the file has no header"),
        ("name\nAda\n", 1, "the column id is missing"),
        ("id,e-mails\n", 1, "no column 'e-mails' (did you mean emails?)"),
        ("id,id\n", 1, "'id' stands twice"),
        ("id,properties.\n", 1, "no column 'properties.'"),
        ("id,name\na,b\nc\n", 3, "1 cells and the header 2"),
        ("id,kind\na,person\n", 2, "use user or account"),
        ("id,kind\n,user\n", 2, "the id '' is empty"),
        ("id,emails\na,nobody\n", 2, "'nobody' is no e-mail address"),
        ("id,emails\na,a b@c.de\n", 2, "is no e-mail address"),
        ("id,domains\na,gmail.com\n", 2, "mail provider"),
        ("id,domains\na,localhost\n", 2, "no domain that somebody can register"),
        ("id,kind,domains\na,user,acme.com\n", 2, "only accounts are matched by domains"),
        ("id,account\na,b\n", 2, "only a user belongs to an account"),
        ("id,properties\na,{\n", 2, "properties is no JSON"),
        ("id,properties\na,[1]\n", 2, "no JSON object"),
        ('id,properties\na,"{""x"": NaN}"\n', 2, "NaN is no JSON"),
        ('id,properties\na,"{""x"": [1e999]}"\n', 2, "1e999 is too large a number"),
        ("id,billing_ids\na,cus 1\n", 2, "no id of a Stripe customer"),
        ('id\n"a\n', 2, "it is no CSV"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, number: int, says: str) -> None:
    found = [line for line in lines(text) if line.problems]
    assert [line.number for line in found] == [number]
    assert says in "; ".join(found[0].problems)


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_it() -> None:
    [line] = lines("\ufeffid,name\r\na,Ada\r\n")
    assert (line.record.id, line.record.name) == ("a", "Ada")


def test_what_no_database_text_holds_is_refused() -> None:
    assert problems_of(Record("account", "a", properties={"x": ["\0"]})) != []
    assert problems_of(Record("account", "x" * 501)) != []
    assert problems_of(Record("account", "a", "n" * 513)) != []
    assert problems_of(Record("account", "a", "Ü", ("ü@bücher.de",), ("bücher.de",))) == []

"""`tidegate price`: in words and as JSON, from a file and from standard input, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.priced import DAY, NOW, Json, coupon, discount, item, price, subscription, tiered
from typer.testing import CliRunner, Result

from tidegate.cli import app

SOLD = subscription(item(price(120000, "year"), 3), item(price(1900)), discounts=[discount(coupon(25.5))])
AT = ("--at", "2026-01-01T00:00:00")


def run(document: Any, *options: str) -> Result:
    body = document if isinstance(document, str) else json.dumps(document)
    return CliRunner().invoke(app, ["price", "-", *AT, *options], input=body)


def told(document: Any, *options: str) -> Json:
    done = run(document, "--json", *options)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_in_words() -> None:
    done = run(SOLD)
    assert done.exit_code == 0
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "si_1  3 × price_1",
        "        3,600.00 USD  3 × 120000",
        "        2,682.00 USD  25.5 % off (c_1)",
        "          223.50 USD  a month, at 1/12 periods a month",
        "si_2  1 × price_1",
        "           19.00 USD  1 × 1900",
        "          14.155 USD  25.5 % off (c_1)",
        "237.66 USD a month under the policy default",
    ]


def test_as_json() -> None:
    answer = told(SOLD)
    assert (answer["currency"], answer["mrr"], answer["mrr_exact"], answer["policy"]) == (
        "usd",
        23766,
        "23765.5",
        "default",
    )
    assert (answer["counts"], answer["why_not"], answer["ends_at"], answer["at"]) == (
        True,
        None,
        None,
        "2026-01-01T00:00:00Z",
    )
    assert "scheduled" not in answer
    first, second = answer["items"]
    assert (first["item"], first["monthly"], first["listed"], first["quantity"]) == ("si_1", 22350, 30000, 3)
    assert (second["monthly"], second["monthly_exact"], second["problem"]) == (1416, "1415.5", None)
    assert first["steps"][1] == {
        "kind": "discount",
        "text": "25.5 % off (c_1)",
        "amount": "268200",
        "shown": "2,682.00 USD",
    }


def test_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "subscription.json"
    file.write_text(json.dumps({"subscription": SOLD}))
    done = CliRunner().invoke(app, ["price", str(file), *AT, "--json"])
    assert json.loads(done.stdout)["mrr"] == 23766


def test_tiers_beside_the_subscription() -> None:
    bare = subscription(item({**tiered("graduated"), "tiers": None}, 12))
    assert told(bare)["items"][0]["problem"] == "the tiers of the price price_1 are not told; expand them"
    assert "?  the tiers of the price price_1 are not told" in run(bare).stdout
    answer = told({"subscription": bare, "prices": [tiered("graduated", (5, 700), (10, 650, 100), (None, 600))]})
    assert [step["text"] for step in answer["items"][0]["steps"]] == [
        "5 × 700 (tier 1, up to 5)",
        "5 × 650 + 100 (tier 2, up to 10)",
        "2 × 600 (tier 3, up to any)",
    ]
    assert answer["mrr"] == 3500 + 3350 + 1200


def test_a_policy_and_single_settings() -> None:
    paused = SOLD | {"pause_collection": {"behavior": "void"}}
    assert told(paused)["why_not"] == "collection is paused (void)"
    assert told(paused, "--policy", "chartmogul")["mrr"] == 23766
    assert told(SOLD, "--set", "discounts=none", "--set", "trials=count")["mrr"] == 31900
    assert told(SOLD, "--policy", "stripe")["assumed"][:2] == ["start", "pauses"]
    assert "The policy leaves start, pauses, days" in run(SOLD, "--policy", "stripe").stderr
    assert "discounts" not in told(SOLD, "--policy", "stripe", "--set", "discounts=all")["assumed"]


def test_what_is_scheduled() -> None:
    phase = {"start_date": NOW + 31 * DAY, "end_date": NOW + 62 * DAY, "items": [{"price": price(5000), "quantity": 2}]}
    schedule = {"id": "sub_sched_1", "status": "active", "end_behavior": "cancel", "phases": [phase]}
    document = {"subscription": SOLD, "schedule": schedule}
    answer = told(document)
    assert answer["mrr"] == 23766
    assert answer["ends_at"] == "2026-03-04T00:00:00Z"
    (ahead,) = answer["scheduled"]
    assert (ahead["starts_at"], ahead["ends_at"], ahead["mrr"]) == (
        "2026-02-01T00:00:00Z",
        "2026-03-04T00:00:00Z",
        10000,
    )
    assert run(document).stdout.splitlines()[-2:] == [
        "It is to end at 2026-03-04T00:00:00Z.",
        "From 2026-02-01T00:00:00Z it is scheduled to be worth 100.00 USD a month.",
    ]


@pytest.mark.parametrize(
    ("document", "options", "words"),
    [
        ("nonsense", (), "the document: it is no JSON"),
        ("[]", (), "the document: it is no JSON object"),
        ({"object": "customer"}, (), "the subscription: its `object` says customer"),
        ({"subscription": SOLD, "taxes": []}, (), "taxes: nothing of that name is known"),
        (SOLD, ("--policy", "mine"), "There is no policy mine"),
        (SOLD, ("--set", "trials"), "--set trials is no NAME=VALUE"),
        (SOLD, ("--set", "trials=half"), "trials cannot be 'half'"),
    ],
)
def test_what_is_wrong_is_told(document: Any, options: tuple[str, ...], words: str) -> None:
    done = run(document, *options)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())
    assert done.stdout == ""
    failure = json.loads(run(document, *options, "--json").stdout)["error"]
    assert failure["type"] in {"SubscriptionInvalid", "PolicyInvalid"}
    assert words in failure["message"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["price", str(tmp_path / "none.json")])
    assert done.exit_code == 2
    assert "none.json cannot be read" in " ".join(done.stderr.split())

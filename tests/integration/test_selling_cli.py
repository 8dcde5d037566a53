"""`tidegate subscribe|change|cancel` as a person gives them: shown, done by token or --yes, told with the exit code."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.command_line import Cli
from tests.support.selling import Till, opened


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("till")) as found:
        yield found


@pytest.fixture
def cli(shop: Till, tmp_path: Path) -> Cli:
    found = Cli(tmp_path, shop.hub.settings.database_url)
    found.environment["TIDEGATE_SECRET_KEY"] = shop.hub.settings.secret_key.get_secret_value()
    return found


@pytest.mark.wide
def test_a_sale_from_the_look_to_the_end(shop: Till, cli: Cli) -> None:
    shop.contact("acme")
    shop.customer("acme")
    wanted = ("subscribe", "acme", "pro", "--interval", "month")
    shown = cli(*wanted, "--preview").stdout
    for told in (
        *("account:acme (cus_", "subscribes to pro", "invoice made now", "50.00 USD", "Due now: 50.00 USD; then"),
        *("sso", "by pro", "POST /v1/subscriptions  customer=cus_", "items[0][price]=price_", "Nothing was done."),
    ):
        assert told in shown
    refused = cli(*wanted, code=2).stderr
    assert "Look at the preview first (`--preview`" in refused
    assert shop.sold("acme") == []
    done = cli(*wanted, "--token", shown.split("--token ")[1].split()[0]).stdout
    assert "is active. Run 2 (`tidegate sync show 2`)" in done  # the import was the first
    assert "is paid: 50.00 USD, paid 50.00 USD." in done
    assert "Nothing to do: account:acme has pro already" in cli(*wanted, "--yes").stdout

    sent = cli("sync", "show", "2").stdout
    assert "Run 2 of account:acme: done" in sent
    assert "create" in sent
    assert cli.json("sync", "show", "2")["requests"][0]["path"] == "/v1/subscriptions"

    changed = cli.json("change", "acme", "basic", "--proration-behavior", "create_prorations", "--yes")
    assert (changed["state"], changed["status"], changed["invoice"]["made"]) == (
        "done",
        "active",
        "at the next renewal",
    )
    stays = cli("cancel", "acme", "basic", "--preview").stdout
    assert "Due now: 0.00 USD." in stays  # what the change credited comes with the last invoice
    assert " until 20" in stays
    assert ", ends 20" in cli("cancel", "acme", "basic", "--yes").stdout
    assert cli.json("cancel", "acme", "basic", "--undo", "--yes")["ends_at"] is None
    ended = cli("cancel", "acme", "basic", "--now", "--prorate", "--invoice-now", "--yes").stdout
    assert "is canceled, ends 20" in ended
    assert shop.sold("acme") == []
    described = cli("contacts", "show", "acme").stdout
    assert "subscribe" in described
    assert "cancel" in described


@pytest.mark.wide
def test_what_is_wrong_is_told_with_its_exit_code(shop: Till, cli: Cli) -> None:
    shop.contact("poor")
    shop.customer("poor", card="pm_card_chargeCustomerFail")
    several = cli("subscribe", "poor", "pro", "--yes", code=2).stderr
    assert "pro has several prices: say which with --price, or --interval and --currency. There are price_" in several
    wanted = ("subscribe", "poor", "pro", "--interval", "month", "--yes")
    declined = cli(*wanted, code=1).stderr
    assert "Nothing was bought: the payment failed (card_declined). Let the customer give another card" in declined
    waits = cli(*wanted, "--payment-behavior", "allow_incomplete", code=1).stdout
    assert "is incomplete" in waits
    assert "gives nothing until its first invoice is paid (in_" in waits
    assert "There is no contact nobody" in cli("subscribe", "nobody", "pro", "--yes", code=2).stderr
    assert "There is no package por. Did you mean pro?" in cli("subscribe", "poor", "por", "--yes", code=2).stderr
    cli("pause", "outbound")
    assert "Outbound is paused since" in cli("cancel", "poor", "pro", "--now", "--yes", code=1).stderr
    cli("resume", "outbound")
    cli("cancel", "poor", "pro", "--now", "--yes")

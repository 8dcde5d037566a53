"""Signing in with an OpenID provider: who comes in, as what, and everything that is not believed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from httpx import Client, Response, get
from joserfc.jwk import OctKey, RSAKey
from pydantic import SecretStr
from sqlalchemy import text
from tests.support.provider import CLIENT, SECRET, Provider, provider
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.errors import ConfigurationError
from tidegate.security import audit_log, oidc
from tidegate.security import users as stored
from tidegate.web.app import create_pages
from tidegate.web.site import beside
from tidegate.wiring import Hub
from tidegate.workflows.operation import users

pytestmark = pytest.mark.further

HEADERS = {"X-Forwarded-Proto": "https", "Sec-Fetch-Site": "same-origin"}
ADA = {"email": "ada@acme.example", "email_verified": True, "name": "Ada <3"}


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider() as one:
        one.claims = dict(ADA)
        yield one


@pytest.fixture
def site(hub: Hub, idp: Provider) -> Iterator[Callable[..., Client]]:
    """Serves the page with these settings, and gives a browser."""
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.users, tidegate.audit_log cascade"))
        stored.add(db, "root@acme.example", "Root", "admin")
    with ExitStack() as running:

        def open_(**said: Any) -> Client:
            said = {
                "oidc_issuer": idp.issuer,
                "oidc_client_id": CLIENT,
                "oidc_client_secret": SecretStr(SECRET),
                **said,
            }
            here = Hub(hub.settings.model_copy(update=said), hub.engine)
            url = running.enter_context(serving(beside(create_app(here), create_pages(here, "0.0.0.0"))))
            return running.enter_context(Client(base_url=url, headers=HEADERS, timeout=60))

        yield open_


def came_back(client: Client, path: str = "/login/provider?next=/contacts", **changed: str) -> Response:
    """What the browser is shown after the provider sent it back."""
    sent = client.get(path)
    assert sent.status_code == 303, sent.text
    cookie = sent.headers["set-cookie"]
    assert "SameSite=lax" in cookie
    assert "HttpOnly" in cookie
    assert "Secure" in cookie
    at_provider = get(sent.headers["location"])
    back = here(at_provider)
    for name, value in changed.items():
        back = value if name == "address" else back.replace(name, value)
    return client.get(back, headers={"Cookie": cookie.partition(";")[0]})


def here(answer: Response) -> str:
    """Where the browser is sent; the tests stand in for what ends TLS."""
    return answer.headers["location"].replace("https://", "http://", 1)


def everybody(hub: Hub) -> dict[str, str]:
    with hub.engine.connect() as db:
        return {one.email: one.role for one in stored.listing(db)}


def test_who_is_invited_comes_in_without_a_password(hub: Hub, site: Callable[..., Client]) -> None:
    users.invite(hub.engine, "Ada@Acme.example", "Ada", "operator", "cli:test")
    client = site()
    assert "Sign in with your organisation" in client.get("/login?next=/contacts").text
    answer = came_back(client)
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0; url=/contacts"' in answer.text
    [cookie] = [one for one in answer.headers.get_list("set-cookie") if one.startswith("tidegate_session=")]
    assert "SameSite=strict" in cookie
    client.headers["Cookie"] = cookie.partition(";")[0]
    assert client.get("/schedules").status_code == 200
    assert client.get("/users").status_code == 403
    assert everybody(hub)["Ada@Acme.example"] == "operator"


def test_people_of_an_allowed_domain_come_in_uninvited_and_it_is_written_down(
    hub: Hub, site: Callable[..., Client]
) -> None:
    assert came_back(site(oidc_domains="other.example, ACME.example")).status_code == 200
    assert everybody(hub)["ada@acme.example"] == "viewer"
    with hub.engine.connect() as db:
        [noted] = audit_log.newest(db, 1)
        assert stored.by_email(db, "ada@acme.example").name == "Ada <3"
    assert (noted["action"], noted["actor"], noted["detail"]) == (
        "user.joined",
        "oidc:ada@acme.example",
        {"role": "viewer"},
    )


@pytest.mark.parametrize("domains", ["", "example", "me.example"])
def test_who_is_neither_is_told_whom_to_ask(hub: Hub, site: Callable[..., Client], domains: str) -> None:
    refused = came_back(site(oidc_domains=domains))
    assert refused.status_code == 403
    assert "Ask one to, under Users" in refused.text
    assert "tidegate_session=" not in str(refused.headers.get_list("set-cookie"))
    assert "ada@acme.example" not in everybody(hub)


def test_the_claim_gives_the_role_at_each_signing_in(hub: Hub, idp: Provider, site: Callable[..., Client]) -> None:
    client = site(
        oidc_domains="acme.example", oidc_role="", oidc_role_claim="groups", oidc_roles="staff=viewer, ops=operator"
    )
    assert came_back(client).status_code == 403, "no claim, no role"
    for groups, role in ((["staff", "ops", "x"], "operator"), ("staff", "viewer"), (["x"], "viewer")):
        idp.claims["groups"] = groups
        assert came_back(client).status_code == 200
        assert everybody(hub)["ada@acme.example"] == role


def test_the_only_admin_stays_one_whatever_the_claim_says(hub: Hub, idp: Provider, site: Callable[..., Client]) -> None:
    _, link = users.invite(hub.engine, "ada@acme.example", "Ada", "admin", "cli:test")
    users.set_password(hub.engine, link, "correct horse battery staple")
    idp.claims["role"] = "viewer"
    assert came_back(site(oidc_role_claim="role")).status_code == 200
    assert everybody(hub)["ada@acme.example"] == "admin"


def test_the_first_user_is_no_stranger(hub: Hub, site: Callable[..., Client]) -> None:
    client = site(oidc_domains="acme.example")
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.users cascade"))
    refused = came_back(client)
    assert (refused.status_code, everybody(hub)) == (403, {})
    assert "tidegate serve" in refused.text


def test_who_is_disabled_stays_out(hub: Hub, site: Callable[..., Client]) -> None:
    users.invite(hub.engine, "ada@acme.example", "Ada", "viewer", "cli:test")
    users.disable(hub.engine, "ada@acme.example", "cli:test")
    refused = came_back(site(oidc_domains="acme.example"))
    assert refused.status_code == 403
    assert "may not sign in any more" in refused.text


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"nonce": "another"}, "cannot be believed"),
        ({"nonce": None}, "cannot be believed"),
        ({"aud": "another"}, "cannot be believed"),
        ({"aud": [CLIENT, "another"]}, "for another"),
        ({"iss": "https://another.example"}, "cannot be believed"),
        ({"exp": 1}, "cannot be believed"),
        ({"sub": None}, "cannot be believed"),
        ({"email_verified": False}, "not say that the e-mail address is verified"),
        ({"email_verified": "true"}, "not say that the e-mail address is verified"),
        ({"email_verified": None}, "not say that the e-mail address is verified"),
    ],
)
def test_what_is_not_beyond_doubt_is_not_believed(
    hub: Hub, idp: Provider, site: Callable[..., Client], claims: dict[str, Any], said: str
) -> None:
    idp.claims |= claims
    refused = came_back(site(oidc_domains="acme.example"))
    assert refused.status_code == 403
    assert said in refused.text
    assert "Begin again" in refused.text
    assert "ada@acme.example" not in everybody(hub)


@pytest.mark.parametrize("forged", ["none of its keys", "the shared secret"])
def test_only_the_providers_own_keys_sign(idp: Provider, site: Callable[..., Client], forged: str) -> None:
    if forged == "the shared secret":
        idp.key, idp.algorithm = OctKey.import_key(SECRET * 3), "HS256"
    else:
        idp.key = RSAKey.generate_key(2048, {"kid": "one"})
    refused = came_back(site(oidc_domains="acme.example"))
    assert refused.status_code == 403
    assert "cannot be believed" in refused.text


def test_a_key_that_is_new_is_fetched(idp: Provider, site: Callable[..., Client]) -> None:
    client = site(oidc_domains="acme.example")
    assert came_back(client).status_code == 200
    idp.rotate()
    assert came_back(client).status_code == 200


def test_an_address_that_stands_at_the_provider_alone_is_asked_for(
    hub: Hub, idp: Provider, site: Callable[..., Client]
) -> None:
    idp.claims, idp.userinfo, idp.ways = {}, {"sub": "1", **ADA}, ["client_secret_post"]
    client = site(oidc_domains="acme.example")
    assert came_back(client).status_code == 200
    idp.userinfo["sub"] = "2"
    assert "two different people" in came_back(client).text


def test_an_answer_to_another_question_is_refused(idp: Provider, site: Callable[..., Client]) -> None:
    client = site(oidc_domains="acme.example")
    assert "another question" in came_back(client, state="stale").text
    assert "access_denied" in came_back(client, code="error=access_denied&code").text
    begun = client.get("/login/provider")
    back = here(get(begun.headers["location"]))
    for cookie in ("", "tidegate_asked=forged"):
        assert "did not begin it here" in client.get(back, headers={"Cookie": cookie}).text
    spent = {"Cookie": begun.headers["set-cookie"].partition(";")[0]}
    assert client.get(back, headers=spent).status_code == 200
    assert "does not take its code back" in client.get(back, headers=spent).text


def test_a_question_does_not_wait_for_ever(
    hub: Hub, site: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = site(oidc_domains="acme.example")
    monkeypatch.setattr(oidc, "LASTS", -1.0)
    assert "It took too long" in came_back(client).text
    assert "ada@acme.example" not in everybody(hub)


def test_a_provider_that_is_away_or_another_is_told_of(idp: Provider, site: Callable[..., Client]) -> None:
    away = site(oidc_issuer="http://127.0.0.1:9").get("/login/provider")
    assert away.status_code == 502
    assert "does not answer" in away.text
    assert "not https" in site(oidc_issuer="http://idp.example").get("/login/provider").text
    issuer, idp.issuer = idp.issuer, "https://another.example"
    assert "calls itself" in site(oidc_issuer=issuer).get("/login/provider").text
    assert site(oidc_issuer="").get("/login/provider").status_code == 404


@pytest.mark.parametrize("wrong", [{"oidc_client_id": ""}, {"oidc_role": "king"}, {"oidc_roles": "a=king"}])
def test_settings_that_do_not_go_together_are_refused_at_the_start(
    site: Callable[..., Client], wrong: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match="TIDEGATE_OIDC"):
        site(**wrong)

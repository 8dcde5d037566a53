"""The page where a Stripe account is connected: by a restricted key, which is the default, or by OAuth."""

from typing import Any

from starlette.responses import Response

from tidegate.connections import accounts
from tidegate.errors import OtherAccount, StripeUnreachable, TidegateError
from tidegate.stripe_api.key_link import key_link, key_permissions
from tidegate.stripe_api.purposes import PURPOSES
from tidegate.web.connections.connections_page import connection_page
from tidegate.web.connections.oauth_page import START
from tidegate.web.pages import Page, Texts, Visit
from tidegate.wiring import open_by_key
from tidegate.workflows.mirror.connect import ConnectRequest, connect
from tidegate.workflows.mirror.oauth import CALLBACK
from tidegate.workflows.mirror.probe import looked_at

STAYS = ("name", "api_base", "rate", "endpoint_rate", "platform")
"""Fields that are shown again as they were typed; no key or secret ever is."""
SECRET = ("api_key", "write_key", "webhook_secret")


def form(visit: Visit) -> Response:
    """Asks for a key; `?name=` is of the connection that gets another one."""
    return _page(visit, typed=Texts({"name": visit.request.query_params.get("name", "")}))


def by_key(visit: Visit) -> Response:
    """Connects by key, looks at what the key may read, and shows it."""
    sent, hub = visit.form, visit.hub
    typed = Texts({name: sent[name] for name in STAYS if name in sent})
    wrong = _wrong(sent)
    if wrong:
        return _page(visit, 422, typed=typed, wrong=wrong)
    secret = sent.get("webhook_secret", "")
    request = ConnectRequest(
        api_key=sent.get("api_key", ""),
        name=sent.get("name", ""),
        write_key=sent.get("write_key", ""),
        webhook_secrets=(secret,) if secret else (),
        api_base=sent.get("api_base", "") or hub.settings.stripe_api_base,
        rate=_number(sent.get("rate", "")),
        endpoint_rate=_number(sent.get("endpoint_rate", "")),
    )
    try:
        account = connect(hub.engine, hub.vault, request, open_by_key, visit.actor)
    except TidegateError as error:
        return _page(visit, 422, typed=typed, **_said(error))
    looked_at(hub.engine, account, hub.stripe(account))
    platform = f"{connection_page(account.name)}/accounts"
    return visit.go(platform if sent.get("platform") else connection_page(account.name))


PAGES = (Page("/connect", form, "admin"), Page("/connect", by_key, "admin", "POST", secrets=SECRET))


def _wrong(sent: Any) -> Texts:
    """What can be said before Stripe is asked."""
    wrong = Texts()
    if not sent.get("api_key"):
        wrong["api_key"] = "A key is needed."
    if (secret := sent.get("webhook_secret", "")) and not secret.startswith("whsec_"):
        wrong["webhook_secret"] = "A signing secret begins with whsec_."
    for name in ("rate", "endpoint_rate"):
        number = _number(sent.get(name, ""))
        if sent.get(name) and (number is None or not 0 <= number <= 10_000):
            wrong[name] = "A number of requests a second, 0 for no limit."
    return wrong


def _number(typed: str) -> float | None:
    try:
        return float(typed) if typed else None
    except ValueError:
        return None


def _said(error: TidegateError) -> dict[str, Any]:
    """Where the error is shown: beside the field that it is about, else above the form."""
    name = error.facts.get("field", "")
    if isinstance(error, OtherAccount):
        name = "name"
    elif isinstance(error, StripeUnreachable):
        name = "api_base"
    return {"wrong": Texts({str(name): str(error)})} if name else {"refused": str(error)}


def _page(visit: Visit, status: int = 200, **facts: Any) -> Response:
    typed = facts["typed"]
    with visit.hub.engine.connect() as db:
        every = accounts.every(db)
    registered = visit.hub.registered
    told: dict[str, Any] = {"refused": "", "wrong": Texts(), **facts}
    return visit.render(
        "connections/connect.html",
        status,
        known=next((one for one in every if one.name == typed["name"]), None),
        platforms=[one for one in every if not one.platform and not one.disconnected_at and one.fan_out_at],
        links={"live": key_link(livemode=True), "test": key_link(livemode=False)},
        wanted=[(one.removeprefix("rak_").removesuffix("_read"), PURPOSES[one]) for one in key_permissions()],
        registered=registered,
        start=START,
        callback=f"{visit.base}{CALLBACK}",
        **told,
    )

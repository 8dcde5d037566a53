"""Webhook endpoints, as Stripe's API has them: the same that /__webhooks registers."""

from dataclasses import replace

from tidegate.sandbox.answers import Refusal, missing
from tidegate.sandbox.params import empty
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.state import API_VERSION
from tidegate.sandbox.webhooks import Endpoint
from tidegate.sandbox.writes.calls import Call, Write, deleted, metadata
from tidegate.sandbox.writes.pages import SERVED as PAGED
from tidegate.sandbox.writes.pages import page


def shown(call: Call, endpoint: Endpoint) -> Obj:
    """An endpoint as Stripe shows it; the secret only at its creation."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": None if endpoint.api_version == API_VERSION else endpoint.api_version,
        "application": None,
        "created": endpoint.created,
        "description": endpoint.description,
        "enabled_events": list(endpoint.enabled_events),
        "livemode": call.state.livemode,
        "metadata": endpoint.metadata,
        "status": "disabled" if endpoint.disabled else "enabled",
        "url": endpoint.url,
    }


def create(call: Call) -> Obj:
    """Registers an endpoint; the answer alone tells its secret."""
    given = call.given
    endpoint = Endpoint(
        id=call.world.ids.new("we_1", 24),
        url=reachable(given["url"]),
        secret=call.world.ids.new("whsec_", 38),
        api_version=given.get("api_version") or API_VERSION,
        enabled_events=events(given["enabled_events"]),
        created=call.now,
        description=given.get("description"),
        metadata=metadata({}, given).get("metadata", {}),
    )
    call.webhooks.add(endpoint)
    return shown(call, endpoint) | {"secret": endpoint.secret}


def reachable(url: str) -> str:
    """A URL that the sandbox can deliver to. Raises Refusal (400)."""
    if not url.startswith("http://"):
        raise Refusal(400, "Invalid URL: the sandbox delivers webhooks over plain http:// only.", "url_invalid", "url")
    return url


def events(given: list[str]) -> tuple[str, ...]:
    """The types to deliver. Raises Refusal (400) when there is none."""
    if not given:
        raise empty("enabled_events")
    return tuple(given)


def known(call: Call) -> Endpoint:
    """The endpoint that the path names. Raises Refusal (404)."""
    endpoint = call.webhooks.endpoints.get(call.names[-1])
    if endpoint is None:
        raise missing("webhook_endpoint", call.names[-1])
    return endpoint


def update(call: Call) -> Obj:
    """Changes an endpoint; what was said of its deliveries stays."""
    endpoint, given = known(call), call.given
    changes: Obj = metadata(endpoint.metadata, given)
    if "description" in given:
        changes["description"] = given["description"]
    if given.get("disabled") is not None:
        changes["disabled"] = given["disabled"]
    if given.get("url") is not None:
        changes["url"] = reachable(given["url"])
    if given.get("enabled_events") is not None:
        changes["enabled_events"] = events(given["enabled_events"])
    changed = replace(endpoint, **changes)
    call.webhooks.add(changed)
    return shown(call, changed)


def retrieve(call: Call) -> Obj:
    """An endpoint."""
    return shown(call, known(call))


def listed(call: Call) -> Obj:
    """The endpoints, newest first, by cursor."""
    return page(
        call, [shown(call, one) for one in reversed(call.webhooks.endpoints.values())], "webhook_endpoint", PATH
    )


def delete(call: Call) -> Obj:
    """Forgets an endpoint."""
    endpoint = known(call)
    call.webhooks.remove(endpoint.id)
    return deleted("webhook_endpoint", endpoint.id)


PATH, ONE = "/v1/webhook_endpoints", "/v1/webhook_endpoints/{id}"
NAME, KIND = "webhook_endpoints", "leaf"
WRITES = (
    Write(
        "POST",
        PATH,
        NAME,
        KIND,
        "WebhookEndpointCreateParams",
        create,
        ("api_version", "description", "enabled_events", "metadata", "url"),
    ),
    Write(
        "POST",
        ONE,
        NAME,
        KIND,
        "WebhookEndpointUpdateParams",
        update,
        ("description", "disabled", "enabled_events", "metadata", "url"),
    ),
    Write("DELETE", ONE, NAME, KIND, "WebhookEndpointDeleteParams", delete),
    Write("GET", ONE, NAME, KIND, "WebhookEndpointRetrieveParams", retrieve, reads=True),
    Write("GET", PATH, NAME, KIND, "WebhookEndpointListParams", listed, PAGED, reads=True),
)

"""The link that opens Stripe's form for a restricted key with the right boxes ticked, from the resource registry."""

from urllib.parse import urlencode

from tidegate.stripe_api.dashboard import DASHBOARD
from tidegate.stripe_api.resources import RESOURCES

EVENTS = "rak_event_read"


def key_permissions() -> list[str]:
    """The permissions that a key needs to read all that is mirrored, and the events, each once."""
    wanted = [resource.permission for resource in RESOURCES.values() if resource.permission]
    return list(dict.fromkeys([*wanted, EVENTS]))


def key_link(*, livemode: bool) -> str:
    """The address of the form, for live or test mode; whoever opens it still looks it over and makes the key.

    Stripe documents neither the form's parameters nor that a permission of a restricted key is `rak_` and the name in
    docs.stripe.com/stripe-apps/reference/permissions; both are in wide use. A name that the form does not know leaves
    its box unticked, and the next look at the permissions then names what is missing. In that reference, but for
    another use, stand all but `rak_entitlement_read`, `rak_billing_clock_read`, `rak_billing_meter_read`; that a list
    of refunds, invoice items, invoice payments, subscription schedules or product features goes with its parent's
    permission is not documented either.
    """
    wanted = [("name", "Tidegate"), *(("permissions[]", one) for one in key_permissions())]
    return f"{DASHBOARD}{'' if livemode else '/test'}/apikeys/create?{urlencode(wanted)}"

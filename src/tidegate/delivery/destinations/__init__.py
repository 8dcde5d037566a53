"""The kinds of destinations: a row here and a file beside."""

from collections.abc import Mapping

from tidegate.delivery.destinations.apprise_ import Apprise
from tidegate.delivery.destinations.files import Files
from tidegate.delivery.destinations.http_upsert import HttpUpsert
from tidegate.delivery.destinations.hubspot import Hubspot
from tidegate.delivery.destinations.kissmetrics import Kissmetrics
from tidegate.delivery.destinations.segment import Segment
from tidegate.delivery.destinations.warehouse import Warehouse
from tidegate.delivery.destinations.webhook import Webhook
from tidegate.delivery.messages import Destination, Writer

KINDS: Mapping[str, Destination | Writer] = {
    "webhook": Webhook(),
    "apprise": Apprise(),
    "kissmetrics": Kissmetrics(),
    "segment": Segment(),
    "hubspot": Hubspot(),
    "http": HttpUpsert(),
    "files": Files(),
    "warehouse": Warehouse(),
}

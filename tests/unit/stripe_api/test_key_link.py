"""The link to a restricted key with the right boxes."""

from urllib.parse import parse_qs, urlsplit

import pytest

from tidegate.stripe_api.key_link import key_link, key_permissions
from tidegate.stripe_api.resources import RESOURCES


def test_every_list_has_its_permission_and_nothing_may_be_written() -> None:
    wanted = key_permissions()
    assert [one.name for one in RESOURCES.values() if one.path and one.permission not in wanted] == []
    assert [one.name for one in RESOURCES.values() if not one.path and one.permission] == []
    assert "rak_event_read" in wanted
    assert len(wanted) == len(set(wanted))
    assert all(one.startswith("rak_") and one.endswith("_read") for one in wanted)


@pytest.mark.parametrize(("livemode", "path"), [(True, "/apikeys/create"), (False, "/test/apikeys/create")])
def test_the_form_is_asked_for_them(livemode: bool, path: str) -> None:
    link = urlsplit(key_link(livemode=livemode))
    assert (link.scheme, link.netloc, link.path) == ("https", "dashboard.stripe.com", path)
    assert parse_qs(link.query) == {"name": ["Tidegate"], "permissions[]": key_permissions()}

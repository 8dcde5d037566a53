"""What is asked of an account, and what for, says the same everywhere."""

import json
from pathlib import Path

from tidegate.stripe_api.key_link import key_permissions
from tidegate.stripe_api.purposes import PURPOSES, manifest_permissions

MANIFEST = Path(__file__).parents[3] / "stripe-app" / "stripe-app.json"


def test_each_permission_says_what_it_is_for() -> None:
    assert set(PURPOSES) == set(key_permissions())
    assert all(one.endswith(".") for one in PURPOSES.values())


def test_the_app_asks_for_no_more_than_a_key() -> None:
    manifest = json.loads(MANIFEST.read_text())
    assert manifest["permissions"] == manifest_permissions()
    assert (manifest["stripe_api_access_type"], manifest["distribution_type"]) == ("oauth", "public")
    assert all(uri.endswith("/api/integrations/stripe/callback") for uri in manifest["allowed_redirect_uris"])

"""Paths and endpoints of the API."""

import pytest

from tidegate.stripe_api.endpoints import endpoint_of, object_path
from tidegate.stripe_api.lanes import CONNECTION


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("get", "/v1/invoices", "GET /v1/invoices"),
        ("get", "/v1/invoices?limit=3", "GET /v1/invoices"),
        ("GET", "/v1/invoices/in_1", "GET /v1/invoices/:id"),
        ("get", "/v1/invoices/in_1/lines", "GET /v1/invoices/:id/lines"),
        ("post", "/v1/invoices/in_1/pay", "POST /v1/invoices/:id/pay"),
        ("post", "/v1/invoices/create_preview", "POST /v1/invoices/create_preview"),
        ("get", "/v1/customers/search", "GET /v1/customers/search"),
        ("get", "/v1/customers/cus_1/sources/card_1", "GET /v1/customers/:id/sources/:id"),
        ("get", "/v1/coupons/gold", "GET /v1/coupons/:id"),
        ("get", "/v1/coupons/tax", "GET /v1/coupons/:id"),
        ("get", "/v1/account", "GET /v1/account"),
        ("get", "/v1/tax_rates/txr_1", "GET /v1/tax_rates/:id"),
        ("get", "/v1/entitlements/features/feat_1", "GET /v1/entitlements/features/:id"),
        ("post", "/v1/billing/meter_events", "POST /v1/billing/meter_events"),
        ("get", "/v1/billing/meters/mtr_1/event_summaries?limit=1", "GET /v1/billing/meters/:id/event_summaries"),
        ("post", "/v1/test_helpers/test_clocks/clock_1/advance", "POST /v1/test_helpers/test_clocks/:id/advance"),
        ("delete", "/v1/subscriptions/sub_1/", "DELETE /v1/subscriptions/:id"),
    ],
)
def test_endpoints_are_named_as_stripe_counts_them(method: str, path: str, endpoint: str) -> None:
    assert endpoint_of(method, path) == endpoint
    assert endpoint != CONNECTION


@pytest.mark.parametrize(
    ("object_id", "path"),
    [("gold", "/v1/coupons/gold"), ("50% off", "/v1/coupons/50%25%20off"), ("a/b?c#d", "/v1/coupons/a%2Fb%3Fc%23d")],
)
def test_an_id_stays_one_segment(object_id: str, path: str) -> None:
    assert object_path("/v1/coupons", object_id) == path
    assert endpoint_of("get", path) == "GET /v1/coupons/:id"

"""What may be done, by name: the scopes of API tokens, which roles are made of as well (pure)."""

SCOPES: dict[str, frozenset[str]] = {
    # scope: what it may do. `entitlements` (check, consume, refresh) stands apart: product code gets nothing else with
    # it, and who operates the hub does not consume usage by accident. `revenue` is for dashboards.
    "entitlements": frozenset({"entitlements"}),
    "revenue": frozenset({"revenue"}),
    "read": frozenset({"read", "revenue"}),
    "operate": frozenset({"read", "revenue", "operate"}),
    "admin": frozenset({"read", "revenue", "operate", "admin"}),
}

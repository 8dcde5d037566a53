"""Contacts with facts written by hand, for tests of what the lifecycle makes of them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from tidegate.wiring import Hub
from tidegate.workflows.lifecycle import lifecycle

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)


class People:
    """Contacts of a hub. Facts that a test does not write are as of somebody of whom nothing is known."""

    def __init__(self, hub: Hub) -> None:
        """Begins with nobody."""
        self.hub, self.now = hub, NOW
        with hub.engine.begin() as db:
            for table in _KEPT:
                db.execute(text(f"delete from tidegate.{table}"))

    def add(self, ref: str = "acme", properties: dict[str, Any] | None = None, **facts: Any) -> int:
        """A contact (its internal key) with these columns of `contact_facts` and `contact_lifecycle`."""
        with self.hub.engine.begin() as db:
            key = db.execute(
                text("""
insert into tidegate.contacts (livemode, kind, external_id, made_by, properties)
values (false, 'account', :ref, 'api', cast(:properties as jsonb)) returning key"""),
                {"ref": ref, "properties": json.dumps(properties or {})},
            ).scalar_one()
            db.execute(
                text("""
insert into tidegate.contact_ids (livemode, kind, external_id, contact) values (false, 'account', :ref, :key)"""),
                {"ref": ref, "key": key},
            )
            db.execute(text("insert into tidegate.contact_facts (contact) values (:key)"), {"key": key})
            db.execute(text("insert into tidegate.contact_lifecycle (contact) values (:key)"), {"key": key})
        self.set(key, **facts)
        return key

    def set(self, key: int, **facts: Any) -> None:
        """Writes facts."""
        with self.hub.engine.begin() as db:
            for name, value in facts.items():
                table = "contact_facts" if name in _WORTH else "contact_lifecycle"
                column = name
                if name == "failing_invoice":  # the only one
                    column, value = "failing_invoices", [value] if value else []
                if name == "has_backup":
                    column, value = "backup_until", self.now + timedelta(days=9_999) if value else None
                db.execute(
                    text(f"update tidegate.{table} set {column} = :value where contact = :key"),
                    {"key": key, "value": value},
                )
            if facts.keys() & {"ends_at", "renews_at", "interval_months", "trial_ends_at"}:
                db.execute(text(_ONE_SUBSCRIPTION), {"key": key})
            if facts.keys() & {"past_due_since", "card_expires_at", "has_backup"}:
                db.execute(text(_ONE_DEBT_AND_CARD), {"key": key})

    def pass_(self, days: float = 0) -> lifecycle.Kept:
        """Lets days pass, and brings the lifecycle up to the time."""
        self.now += timedelta(days=days)
        return lifecycle.keep(self.hub.engine, as_of=self.now)

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What the database says."""
        with self.hub.engine.connect() as db:
            return [tuple(row) for row in db.execute(text(sql), values)]

    def of(self, key: int, column: str) -> Any:
        """A column of its lifecycle."""
        return self.rows(f"select {column} from tidegate.contact_lifecycle where contact = :key", key=key)[0][0]

    def alerts(self, key: int | None = None) -> list[tuple[str, str]]:
        """(rule, state) of the alerts, oldest first."""
        among = "" if key is None else "where contact = :key"
        found = self.rows(f"select rule, state from tidegate.alerts {among} order by id", key=key)
        return [(rule, state) for rule, state in found]

    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """(type, data) of the outbox, oldest first."""
        return [(kind, data) for kind, data in self.rows("select type, data from tidegate.outbox order by id")]


_ONE_SUBSCRIPTION = """
update tidegate.contact_lifecycle l set
  cancellations = array_remove(array[to_char(f.ends_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')], null),
  renewals = array_remove(array[f.renews_at], null),
  renewal_months = case when f.renews_at is null then '{}' else array[coalesce(l.interval_months, 1)] end,
  trial_ends = array_remove(array[f.trial_ends_at], null)
from tidegate.contact_facts f where l.contact = :key and f.contact = l.contact"""
_ONE_DEBT_AND_CARD = """
update tidegate.contact_lifecycle set past_dues = array_remove(array[past_due_since], null),
  cards = array_remove(array[card_expires_at], null),
  card_backups = case when card_expires_at is null then '{}' else array[backup_until] end
where contact = :key"""
_WORTH = {"mrr", "statuses", "subscriptions", "customer_since", "churned_at", "renews_at", "ends_at", "trial_ends_at"}
_KEPT = (
    *("deliveries", "destinations", "owners", "alert_route", "digests", "contact_notes", "contact_tasks"),
    *("entitlement_changes", "contact_changes", "lifecycle_state", "entitlements_told", "links", "contact_emails"),
    *("outbox", "alerts", "memberships", "health_history", "contact_facts", "contact_lifecycle", "lifecycle_due"),
    *(
        "suppressed_contacts",
        "suppressed_properties",
        "noted_contacts",
        "used_contacts",
        "lifecycle_news",
        "stages",
        "lifecycle_settings",
        "segments",
        "actions",
        "action_occurrences",
        "deliveries",
        "destinations",
        "contact_ids",
        "contacts",
    ),
)

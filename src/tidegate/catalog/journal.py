"""Who changed what of the catalog, and when; written in the transaction of the change."""

import json
from typing import Any

from sqlalchemy import Connection, text


def note(db: Connection, by: str, action: str, subject: str, **detail: Any) -> None:
    """Writes a row. `action`: such as `mapping.set`; `subject`: the key, or what is mapped."""
    values = {"by": by, "action": action, "subject": subject, "detail": json.dumps(detail, default=str)}
    db.execute(_NOTE, values)


_NOTE = text("""
insert into tidegate.catalog_changes (by, action, subject, detail)
values (:by, :action, :subject, cast(:detail as jsonb))""")

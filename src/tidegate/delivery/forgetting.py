"""Erases what destinations said and people wrote about whoever is forgotten, beside what is due and was sent."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, text


def forget(db: Connection, contacts: Sequence[int], words: Sequence[str]) -> Counter[str]:
    """Erases why these contacts (internal keys) were suppressed, which they stay, and what destinations answered: of
    their own messages, and wherever one of these `words` (lower case) stands in it, because an answer may quote what it
    is about. Returns how many rows changed, by table. In the caller's transaction.
    """
    values = {"contacts": list(contacts), "words": list(words)}
    return Counter({table: db.execute(statement, values).rowcount for table, statement in _FORGET.items()})


_NAMES_THEM = """exists (
  select from unnest(cast(:words as text[])) word where position(word in lower({of})) > 0)"""

_FORGET = {
    "tidegate.suppressed_contacts": text("""
update tidegate.suppressed_contacts set reason = ''
where contact = any(cast(:contacts as bigint[])) and reason <> ''"""),
    "tidegate.deliveries": text(f"""
update tidegate.deliveries set error = ''
where error <> '' and (contact = any(cast(:contacts as bigint[])) or {_NAMES_THEM.format(of="error")})"""),
    "tidegate.destinations": text(f"""
update tidegate.destinations set error = 'it names somebody who was forgotten since'
where error <> '' and {_NAMES_THEM.format(of="error")}"""),
}

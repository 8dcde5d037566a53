"""`tidegate migrate`: brings the database schema to this program's."""

from tidegate.cli.options import AsJson


def migrate(as_json: AsJson = False) -> None:
    """Bring the database schema to what this program needs; does nothing where it is."""
    from tidegate.cli import show
    from tidegate.cli.hub import migrated

    done = migrated()
    if as_json:
        show.document({"before": done.before, "after": done.after, "refilled": done.refilled})
        return
    if done.before == done.after and not done.refilled:
        show.line(f"The schema is at {done.after}, as it should be.")
        return
    show.line(f"The schema went from {done.before or 'nothing'} to {done.after}.")
    for resource, rows in done.refilled.items():
        show.line(f"{resource}: new columns filled in {rows:,} rows.")

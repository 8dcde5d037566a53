"""Pages of the mirror: how it stands, its objects, inbox, audits, SQL, exports."""

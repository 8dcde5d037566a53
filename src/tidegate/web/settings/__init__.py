"""Pages of users, tokens, the audit log, schedules, digests and saved views."""

"""Workflows of operation: migrations, status, doctor, retention, secrets, exports."""

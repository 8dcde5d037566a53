"""Shared means of the tests: builders, judges and lookups that no single test owns."""

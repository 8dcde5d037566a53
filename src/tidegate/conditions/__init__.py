"""The one rule language: tests of a contact's fields under all, any and not; checked, compiled to SQL, explained."""

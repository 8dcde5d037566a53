"""Who may do what: API tokens now, users and roles later."""

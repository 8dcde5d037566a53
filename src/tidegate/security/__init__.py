"""Who may do what: users with roles, their sessions and links, and API tokens with scopes."""

"""The page for people: server-rendered, polled by htmx, with assets of its own and none from elsewhere."""

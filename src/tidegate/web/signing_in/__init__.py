"""Pages where people sign in, by password, by token and by an OpenID provider."""

"""What starting, changing and ending a contact's subscription takes: the price, the request, what it leads to. Pure."""

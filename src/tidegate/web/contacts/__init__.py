"""Pages of contacts: the table, one of them, what is changed, reviewed, sold and found."""

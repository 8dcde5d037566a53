"""Actions: what is done once whenever something happens to a contact, and whether it helped."""

"""How every contact is doing: what payments say of it, the stage that it is in, the segments that it belongs to."""

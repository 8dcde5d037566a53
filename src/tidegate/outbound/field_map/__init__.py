"""What fills each field of a payload: columns, constants, templates, and objects that other rows name."""

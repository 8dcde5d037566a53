"""Where models are read from: warehouses, databases and files, read-only, as Arrow."""

"""Pages of packages, features and mappings."""

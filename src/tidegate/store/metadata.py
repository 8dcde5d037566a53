"""What every domain's tables in schema `tidegate` have in common: the MetaData they register in, and their times."""

from sqlalchemy import DateTime, MetaData

metadata = MetaData(schema="tidegate")

Time = DateTime(timezone=True)
"""The type of a column that holds a point in time, UTC."""

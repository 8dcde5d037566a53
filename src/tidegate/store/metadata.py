"""The MetaData that every domain's tables in schema `tidegate` register in."""

from sqlalchemy import MetaData

metadata = MetaData(schema="tidegate")

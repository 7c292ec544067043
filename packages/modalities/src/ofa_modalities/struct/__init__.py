"""STRUCT: tables and databases in, tables and queries out, as text of one canonical form."""

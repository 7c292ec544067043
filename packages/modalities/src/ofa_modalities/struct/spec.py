"""STRUCT, said without importing what does the work."""

from __future__ import annotations

from typing import Literal

from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec
from pydantic import Field

SOURCE_LENGTH = 512
TARGET_LENGTH = 256


class StructOptions(Options):
    """What tables and databases share."""

    max_length: int | None = Field(default=None, ge=4, le=1 << 20)
    """Longest text in tokens; None: 512 of what is read, 256 of an answer."""
    uncased: bool = False
    """Lower-case the text; of a query, what stands outside of quotes."""


class TableOptions(StructOptions):
    """How a table, or a query, becomes text."""

    max_bytes: int = Field(default=64_000_000, ge=1)
    """Largest file; texts are read whole, databases are not."""
    form: Literal["table", "sql"] = Field(default="table", validation_alias="as")
    """``as=table``: rows under a header; ``as=sql``: one query."""
    header: bool = True
    """The first row of a list of rows, or of a CSV text, names the columns."""
    table: str | None = None
    """Which table of a database is read; needed where it holds several."""
    types: bool = False
    """Say of each column whether it holds numbers, dates or text."""
    max_rows: int = Field(default=1000, ge=0)
    """Rows of what is read beyond this are left out, and the text says how many."""
    max_columns: int = Field(default=256, ge=1)
    """A table of more columns is an error."""
    max_cells: int = Field(default=1_000_000, ge=1)
    """A table of more cells is an error."""
    max_cell_length: int = Field(default=256, ge=4)
    """Longest cell of what is read, in characters; what is beyond becomes ``...``."""


class DatabaseOptions(StructOptions):
    """How the schema of a database becomes text."""

    max_bytes: int = Field(default=1_000_000_000, ge=1)
    """Largest file; it is not read whole."""
    question: str | None = None
    """Column that holds the question: values of the database that occur in it stand behind their columns."""
    keys: bool = True
    """Say which columns are primary keys, and what foreign keys refer to."""
    types: bool = False
    """Say the type that each column is declared with."""
    max_tables: int = Field(default=256, ge=1)
    """A database of more tables is an error."""
    max_columns: int = Field(default=2048, ge=1)
    """A database of more columns in all is an error."""
    max_scan_rows: int = Field(default=10_000, ge=0)
    """First rows of a table whose values are looked for in the question."""
    max_values: int = Field(default=2, ge=0)
    """Most values behind one column, the longest first."""
    max_seconds: float = Field(default=5.0, gt=0)
    """Longest time that reading one database may take."""


STRUCT = ModalitySpec(
    name="STRUCT",
    summary="Tables, databases and queries.",
    processor="table",
    adaptor="text",
    criteria=("cross_entropy",),
    generator="tokens",
    never_closed=True,
)

TABLE_PROCESSOR = ProcessorSpec(
    name="table",
    summary="A table as text: its name, header, types and rows, as many as fit; or one SQL query (`as=sql`).",
    modalities=("STRUCT",),
    options=TableOptions,
    implementation="ofa_modalities.struct.processor:TableProcessor",
)

DATABASE_PROCESSOR = ProcessorSpec(
    name="database",
    summary="The schema of a SQLite database as text: tables, columns, keys, and values that a question names.",
    modalities=("STRUCT",),
    options=DatabaseOptions,
    implementation="ofa_modalities.struct.processor:DatabaseProcessor",
)

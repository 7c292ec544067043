"""Sources: rows by index from files and from memory.

sources/
  specs.py          csv, jsonl, parquet, starter (pydantic only)
  opening.py        whatever a user has → a source
  as_trained.py     the same, with the columns and the delimiter that a checkpoint was trained with
  csv_file.py  jsonl_file.py  parquet_file.py  folder.py  starter_pack.py
  memory.py         lists of mappings, frames, Arrow tables, Hugging Face datasets
  arrow_cells.py    cells of Arrow columns as raw values
  views.py          other column names, parts of the rows
  choosing.py       a seeded, spread choice of n of N rows
  splitting.py      training and validation rows, those of one picture on one side
"""

"""Row transforms: one change that reaches several columns of a training row, before it is encoded.

row_transforms/
  plans.py       what there is: Crop, Mirror                                   (pydantic only)
  columns.py     which columns of a task a transform reaches, and what it cannot do
  words.py       words that are exchanged in texts, their case kept
  crop.py        which part of a picture is shown, and what of a box lies in it
  applying.py    the transforms of a task, one after the other, as a function of a row
"""

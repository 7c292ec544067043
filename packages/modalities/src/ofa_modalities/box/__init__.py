"""BOX: a rectangle in pixels of its picture, in and out."""

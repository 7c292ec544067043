"""CATEGORY: one label of a closed set, as one token of its own block, in and out."""

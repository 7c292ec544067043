"""VIDEO: clips, as three-dimensional patches of a few of their frames."""

"""SERIES: a series of float frames, in and out."""

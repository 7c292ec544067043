"""MOTION: how a skeleton moves, as root velocity and 6-D rotations."""

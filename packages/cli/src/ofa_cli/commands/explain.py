def explain() -> None:
    """Not yet."""

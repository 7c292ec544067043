def infer() -> None:
    """Not yet."""

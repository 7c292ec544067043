def train() -> None:
    """Not yet."""

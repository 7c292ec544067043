"""The ``ofa`` command: one file a command under ``commands``, their entry in ``main``."""

__all__: list[str] = []

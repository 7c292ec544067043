"""The parts of the starter pack's extension, one a module; ``build_starter_extension.py`` writes them."""

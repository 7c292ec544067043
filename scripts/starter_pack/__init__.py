"""The parts of the starter pack, one a module; ``build_starter_pack.py`` writes them."""

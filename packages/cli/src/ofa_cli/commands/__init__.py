"""The commands, one file each. What they need is imported when they run, so that ``--help`` stays quick."""

"""PHONE: what words sound like, in ARPAbet."""

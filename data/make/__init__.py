"""How the shipped example data are made: one command per folder of ``data/``."""

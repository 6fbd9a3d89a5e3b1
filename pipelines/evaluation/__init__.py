"""Scoring of trained methods and of baselines: the scores of a split, and the files that hold them."""

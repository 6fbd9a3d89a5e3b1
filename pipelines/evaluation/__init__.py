"""Scoring of trained methods and of baselines: the walk over the split, and the files it leaves."""

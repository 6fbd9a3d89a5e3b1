"""Scoring of trained methods and floors: the walk over the split, and the files it leaves."""

"""The report: what the run folders say, as one page and its tables."""

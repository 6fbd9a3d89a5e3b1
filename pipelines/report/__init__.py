"""The report: what the run folders say, as one page, one table and one metrics file."""

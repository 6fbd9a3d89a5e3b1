"""Local folders and ``s3://`` behind one interface; atomic files."""

"""One module per view; each ends in `PAGES`."""

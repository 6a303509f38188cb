"""Statistics and contact sheets that show what a prepared dataset holds."""

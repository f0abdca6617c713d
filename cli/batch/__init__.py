"""`milieu batch`: many questions of many cultures, into a table."""

"""Several processes that answer at one address, and the parent that keeps them running."""

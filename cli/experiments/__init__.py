"""The `milieu experiments` commands."""

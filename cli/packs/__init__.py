"""The `milieu packs` commands."""

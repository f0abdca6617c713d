"""The `milieu experiments replay` command."""

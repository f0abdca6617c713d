"""The `milieu evaluate` command."""

"""The `milieu culturespa` commands."""

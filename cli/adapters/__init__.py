"""The `milieu adapters` commands."""

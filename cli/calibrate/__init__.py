"""The `milieu calibrate` command."""

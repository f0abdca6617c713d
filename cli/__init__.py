"""The `milieu` command: a folder per command group, and the jobs that run without a service."""

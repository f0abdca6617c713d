"""The service: settings, resources, the pipeline, HTTP routes and the `milieu` command."""

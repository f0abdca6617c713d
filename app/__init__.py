"""The service: settings, resources, routes, and the steps that answer a request."""

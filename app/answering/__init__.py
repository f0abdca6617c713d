"""The steps that answer one request."""

"""Milieu on Ray Serve."""

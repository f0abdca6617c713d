"""Measurements of the real thing; each prints what it measured."""

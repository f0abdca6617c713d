"""Importers: from the form in which a survey is published to a pack."""

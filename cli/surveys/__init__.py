"""The commands on the loaded surveys: `milieu cultures` and `milieu index`."""

"""The page at `/`: written here from templates, for people rather than programs."""

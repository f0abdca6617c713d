"""An analysis for people: in the terminal, and as one HTML page that needs nothing but itself."""

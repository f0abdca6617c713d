"""What people answered: data packs, their schema and terms, and the culture catalogue."""

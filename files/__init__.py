"""Files that a kill leaves whole. Imports nothing of Milieu's."""

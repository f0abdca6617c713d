"""How well answers match what people said: readings, references, metrics, runs and reports."""

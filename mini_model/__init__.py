"""The embedded default: a small Llama that reads survey exemplars, trained here from scratch."""

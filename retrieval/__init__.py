"""Which answers to show a model and how: encoder, index, selectors, prompt methods."""

"""Words out and readings in: prompts, and what a model answered to them."""

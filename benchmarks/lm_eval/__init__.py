"""General ability with and without a culture, by lm-evaluation-harness; see docs/lm-eval.md."""

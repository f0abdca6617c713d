"""Everything that speaks to vLLM, and the vLLM that Milieu starts."""

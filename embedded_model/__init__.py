"""The default language model: where it comes from and how it is unpacked for vLLM."""

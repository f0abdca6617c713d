"""LoRA adapters per culture: which weights answer for which culture."""

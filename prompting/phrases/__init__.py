"""What prompts say in each language, one file each."""

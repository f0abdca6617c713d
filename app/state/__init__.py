"""What a running service keeps: experiments, adapters, secrets."""

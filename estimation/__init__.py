"""From survey tables to shares with intervals: what is known, and estimates of what is not."""

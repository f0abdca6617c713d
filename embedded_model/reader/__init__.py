"""The reader adapter: it teaches the embedded model to reply from what its prompt says."""

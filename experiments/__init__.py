"""How to answer a request, and the record of how it was answered."""

"""How a request is to be answered, and the record of how it was."""

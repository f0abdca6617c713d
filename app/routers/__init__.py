"""HTTP routes: they parse a request, hand it to the pipeline, and shape the response."""

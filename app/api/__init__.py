"""HTTP: routes, schemas, problem details and middleware."""

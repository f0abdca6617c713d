"""What a page may load, and the headers that keep others out of it."""

from __future__ import annotations

_COMMON = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
PAGE_POLICY = f"default-src 'self'; {_COMMON}"
# The style sheet of Swagger UI holds its icons.
DOCS_POLICY = f"default-src 'self'; img-src 'self' data:; {_COMMON}"
PROTECTION = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `no-referrer` would also hide from this service that its own forms are its own.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# A report is one file with its style in it, so that it can be kept and sent.
REPORT_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; {_COMMON}"

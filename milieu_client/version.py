"""The version of the client, which is Milieu's."""

__version__ = "0.1.0"

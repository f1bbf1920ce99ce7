"""The what-if proof: replay the recorded batches with a suspect's fix, and without."""

from .protocol import DEFAULT_SECONDS, verify

__all__ = ["DEFAULT_SECONDS", "verify"]

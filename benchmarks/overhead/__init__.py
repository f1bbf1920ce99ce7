"""What recording costs, and what the alternatives do: parts of ``recording_overhead.py``."""

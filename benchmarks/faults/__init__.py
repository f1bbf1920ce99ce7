"""Known, seeded and no faults: trainings with an answer, and how often the analyzer finds it.

``python -m benchmarks.faults`` trains, records, analyses and prints; ``--write`` also writes
``docs/effectiveness.md``.
"""

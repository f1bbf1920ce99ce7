"""What a trace format means: both pass this suite, and a new one is finished when it does."""

"""Why something cannot be replayed."""


class ObstacleError(Exception):
    """The message says why, in a few words for a person."""

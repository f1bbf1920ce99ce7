"""Text from a trace made harmless: its names are anyone's."""


def visible(text: str) -> str:
    """Text in which every character is seen: control characters become their escapes.

    Names must not move the cursor, set colours, break lines or turn the writing direction.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )

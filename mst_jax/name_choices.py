"""List known names in an error message, with the one that was probably meant."""

import difflib
from collections.abc import Collection, Iterable


def closest_names(words: Iterable[str], known: Collection[str]) -> str:
    """Return the known names that words are probably meant to be, for an error message.

    Args:
        words: Unknown names.
        known: Known names.

    Returns:
        Text such as " (closest: steps)" to append to the list of known names; "" if no
        known name is close.
    """
    matches = [closest_name(word, known) for word in words]
    found = [match for match in matches if match is not None]
    return f" (closest: {', '.join(found)})" if found else ""


def closest_name(word: str, known: Collection[str]) -> str | None:
    """Return the known name that a word is probably meant to be; None if none is close.

    Args:
        word: Unknown name.
        known: Known names.
    """
    # Upper and lower case count as the same.
    by_lower_case = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(word.lower(), list(by_lower_case), n=1)
    if matches:
        return by_lower_case[matches[0]]
    # Initials, such as lr for learning_rate.
    by_initials = {
        "".join(part[:1] for part in name.split("_")): name
        for name in known
        if "_" in name
    }
    return by_initials.get(word.lower())


def list_choices(word: str, known: Collection[str]) -> str:
    """Return the sentence end "choose one of a, b, c (closest: b)".

    Args:
        word: Name that is not among the known ones.
        known: Known names.
    """
    return f"choose one of {', '.join(known)}{closest_names([word], known)}"

"""The one exception for input that a user can mend."""


class InputError(ValueError):
    """Bad input; the message is one clear sentence that names the file, row or key."""

"""The one exception for input that a user can mend."""

from wood.runtime.sentences import printable


class InputError(ValueError):
    """Bad input; the message is one clear sentence that names the file, row or key.

    Whatever stands in the file, the sentence is one line without control characters, and a cell of
    megabytes in it is cut.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))

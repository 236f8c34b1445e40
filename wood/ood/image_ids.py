"""Image ids name files and stand in lines of text: they hold nothing that does harm there."""

import re

from wood.runtime.errors import InputError

# Letters, digits, "_", "-" and ".", which may not come first.
SAFE_ID = r"^[0-9A-Za-z_-][0-9A-Za-z_.-]*$"


def check_image_id(image_id: str, where: str) -> None:
    """Refuse an image id that could leave its folder or break a line.

    Raises:
        InputError: the id is not `SAFE_ID`; the sentence begins with `where`.
    """
    if not re.fullmatch(SAFE_ID, image_id):
        raise InputError(
            f"{where}: the image id {image_id!r} is not a plain name of letters and digits."
        )

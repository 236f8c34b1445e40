"""What every request to the web has in common: addresses, introduction, and when to ask again."""

import logging
from pathlib import Path
from urllib.parse import urlsplit

USER_AGENT = "w-ood/1.0 (research; hard out-of-distribution images)"
BUSY = frozenset({408, 425, 429})


def local_folder(base: str | Path) -> Path | None:
    """Return the folder that `base` names (a path or file://), or None for a web address."""
    parts = urlsplit(str(base))
    if parts.scheme == "file":
        return Path(parts.path)
    return None if parts.scheme in ("http", "https", "s3") else Path(base)


def web_address(base: str) -> str:
    """Return `base` as an http(s) address; s3://bucket/prefix is read unsigned over https."""
    parts = urlsplit(base)
    if parts.scheme == "s3":
        return f"https://{parts.netloc}.s3.amazonaws.com{parts.path}".rstrip("/")
    return base.rstrip("/")


def is_transient(code: int) -> bool:
    """Whether an HTTP status may be another the next time: the server is busy, or in trouble."""
    return code in BUSY or code >= 500


def quiet_http_log() -> None:
    """Keep httpx from logging a line for every request."""
    logging.getLogger("httpx").setLevel(logging.WARNING)

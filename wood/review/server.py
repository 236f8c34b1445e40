"""The App's server of a review: FiftyOne's, with pages that may ask no other host.

    python -m wood.review.server --port 5151 --address 127.0.0.1

FiftyOne's page asks the web for a font, and once for more; a review runs without the web. The
server loads FiftyOne while its parent starts the database. The database's port is a line of the
standard input (empty where FiftyOne's configuration names one); the server ends with that input.
"""

import argparse
import asyncio
import logging
import os
import sys
import threading
from typing import NoReturn

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from wood.review.database import OUR_PORT

POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "connect-src 'self' data: blob: ws: wss:; frame-ancestors 'self'"
)


class OwnHostOnly(BaseHTTPMiddleware):
    """Tell the browser to fetch nothing from elsewhere."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", required=True)
    options = parser.parse_args()
    # As FiftyOne's own server does it (fiftyone/server/main.py).
    os.environ.pop("FIFTYONE_DISABLE_SERVICES", None)
    os.environ["FIFTYONE_SERVER"] = "1"
    from fiftyone.server.app import app
    from fiftyone.server.events import set_port
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    for name in ("fiftyone", "hypercorn"):  # what they tell is the command's to say
        logging.getLogger(name).setLevel(logging.ERROR)
    line = sys.stdin.readline()
    if not line:
        _end()
    if port := line.strip():
        os.environ[OUR_PORT] = port
    threading.Thread(target=_end_with_input, daemon=True).start()
    app.add_middleware(OwnHostOnly)
    config = Config()
    config.loglevel = "ERROR"
    host = f"[{options.address}]" if ":" in options.address else options.address
    config.bind = [f"{host}:{options.port}"]
    set_port(options.port)
    asyncio.run(serve(app, config))


def _end_with_input() -> None:
    sys.stdin.read()
    _end()


def _end() -> NoReturn:
    os._exit(0)  # no clean-up: without a database FiftyOne's would wait for minutes


if __name__ == "__main__":
    main()

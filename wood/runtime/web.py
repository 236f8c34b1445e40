"""Requests to the web: how hard to ask, what may come back, and when to ask again.

The one HTTP client of the project. `wood.runtime.download` fetches files with it,
`wood.ood.download` photographs. Whatever a server answers, and whatever stands in an address, ends
in `Transient` (worth another attempt) or `Unusable` (not), never in an exception of a library.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import httpx

USER_AGENT = "w-ood/1.0 (research; hard out-of-distribution images)"
BUSY = frozenset({408, 425, 429})
GONE = frozenset({403, 404, 410})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
LONGEST_WAIT = 60.0  # seconds between two attempts, whatever a server asks for
LEAST_RATE = 100  # bytes a second, over `timeout` seconds: what drips is as good as hung
LONGEST_REASON = 200  # characters of what a server or a library says

Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """How hard to ask, and how much to take.

    Attributes:
        connections: requests under way at once.
        rate_limit: requests started in a second, over all connections; None for no limit.
        retries: attempts for one address beyond the first.
        timeout: seconds without a byte, or with fewer than `LEAST_RATE` a second, before an
            attempt counts as hung.
        max_seconds: of one answer, from the request to its last byte.
        backoff: seconds before the first retry; doubled for each further one, with jitter.
        max_bytes: of one file.
        user_agent: how the requests introduce themselves.
    """

    connections: int = 16
    rate_limit: float | None = 50.0
    retries: int = 5
    timeout: float = 30.0
    max_seconds: float = 300.0
    backoff: float = 0.5
    max_bytes: int = 50_000_000
    user_agent: str = USER_AGENT


class Unusable(Exception):
    """An address that does not give what is wanted; `gone` tells "there is none" from the rest."""

    def __init__(self, reason: str, gone: bool = False) -> None:
        super().__init__(_short(reason))
        self.gone = gone


class Transient(Exception):
    """A failed attempt that is worth another one, after `wait` seconds if the server says so."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(_short(reason))
        self.wait = wait


def local_folder(base: str | Path) -> Path | None:
    """Return the folder that `base` names (a path or file://), or None for a web address."""
    scheme, separator, rest = str(base).partition("://")
    if separator and scheme.lower() == "file":
        return Path("/", rest.partition("/")[2])
    return None if separator and scheme.lower() in ("http", "https", "s3") else Path(base)


def web_address(base: str) -> str:
    """Return `base` as an http(s) address; s3://bucket/prefix is read unsigned over https."""
    if base.lower().startswith("s3://"):
        bucket, _, path = base[5:].partition("/")
        return f"https://{bucket}.s3.amazonaws.com/{path}".rstrip("/")
    return base.rstrip("/")


def is_transient(code: int) -> bool:
    """Whether an HTTP status may be another the next time: the server is busy, or in trouble."""
    return code in BUSY or code >= 500


def declared_length(response: "httpx.Response") -> int | None:
    """Return the length that an answer declares, or None."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def seconds_asked_for(retry_after: str | None) -> float:
    """Read Retry-After, in seconds or as a date; what is neither counts as not given."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT)
    try:
        return min(max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0), LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0


@dataclass
class Pace:
    """Spaces the starts of requests evenly, over all connections."""

    per_second: float | None
    _free_at: float = field(default=0.0)

    async def wait(self) -> None:
        if not self.per_second:
            return
        now = asyncio.get_running_loop().time()
        start = max(now, self._free_at)
        self._free_at = start + 1 / self.per_second
        await asyncio.sleep(start - now)


class Client:
    """One pool of connections; use it in the event loop that made it, and close it there."""

    def __init__(
        self, limits: Limits, check_redirect: Callable[["httpx.URL"], None] | None = None
    ) -> None:
        """Open nothing yet.

        Args:
            limits: for every request.
            check_redirect: raises `Unusable` for places that redirects must not lead to.
        """
        import httpx

        logging.getLogger("httpx").setLevel(logging.WARNING)
        self.limits = limits
        self.check_redirect = check_redirect
        self.pace = Pace(limits.rate_limit)
        self.http = httpx.AsyncClient(
            timeout=limits.timeout,
            limits=httpx.Limits(max_connections=limits.connections),
            # What is sent compressed has no known size: a few kilobytes may become gigabytes.
            headers={"User-Agent": limits.user_agent, "Accept-Encoding": "identity"},
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    async def close(self) -> None:
        await self.http.aclose()

    async def content(self, address: str) -> bytes:
        """Return the body of an address.

        Raises:
            Transient, Unusable: there is none, or it is larger or slower than the limits allow.
        """
        body = bytearray()
        async with self._bounded(), self.answer(address) as response:
            if response.status_code != 200:
                code = response.status_code
                raise Unusable(f"HTTP {code}", gone=code in GONE)
            async with aclosing(self.chunks(response, self.limits.max_bytes)) as chunks:
                async for chunk in chunks:
                    body += chunk
        return bytes(body)

    @asynccontextmanager
    async def answer(
        self, address: str, headers: dict[str, str] | None = None
    ) -> AsyncIterator["httpx.Response"]:
        """Yield the answer of an address, redirects followed, its body still to come.

        Raises:
            Transient, Unusable: there is no answer, or one that asks for another attempt.
        """
        with network():
            request = self.http.build_request("GET", _checked(address), headers=headers)
        for _ in range(MAX_REDIRECTS + 1):
            await self.pace.wait()
            with network():
                response = await self.http.send(request, stream=True)
            try:
                code = response.status_code
                if is_transient(code):
                    wait = seconds_asked_for(response.headers.get("Retry-After"))
                    raise Transient(f"HTTP {code}", wait)
                if code not in REDIRECTS:
                    yield response
                    return
                request = self._redirected(response)
            finally:
                with suppress(Exception):  # a connection that is broken already
                    await response.aclose()
        raise Unusable(f"more than {MAX_REDIRECTS} redirects")

    def _redirected(self, response: "httpx.Response") -> "httpx.Request":
        request = response.next_request
        if request is None:
            raise Unusable(f"HTTP {response.status_code} without a place to go")
        schemes = {response.url.scheme, "https"}
        if request.url.scheme not in schemes:
            raise Unusable(f"redirected to {request.url.scheme}")
        _checked(str(request.url))
        if self.check_redirect is not None:
            self.check_redirect(request.url)
        return request

    async def chunks(
        self, response: "httpx.Response", max_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield the body of an answer as it comes.

        Raises:
            Transient: it is cut, or comes too slowly.
            Unusable: it is compressed, or more than `max_bytes`.
        """
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise Unusable(f"it comes compressed ({encoding}), which was not asked for")
        too_large = f"more than {max_bytes} bytes"
        if (declared_length(response) or 0) > max_bytes:
            raise Unusable(too_large)
        iterator = response.aiter_raw()
        size = since = 0
        window = time.monotonic()
        while True:
            with network():
                chunk = await anext(iterator, None)
            if chunk is None:
                return
            size += len(chunk)
            since += len(chunk)
            if size > max_bytes:
                raise Unusable(too_large)
            if (passed := time.monotonic() - window) >= self.limits.timeout:
                if since < LEAST_RATE * passed:
                    raise Transient(f"only {since} bytes in {passed:.0f} s")
                since, window = 0, time.monotonic()
            yield chunk

    async def with_retries(
        self, attempt: Callable[..., Awaitable[Result]], *arguments: Any
    ) -> Result:
        """Return what `attempt(*arguments)` returns, after another try for each `Transient`.

        Raises:
            Unusable: as `attempt` does, or there were too many tries.
        """
        from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_attempt

        attempts = AsyncRetrying(
            retry=retry_if_exception_type(Transient),
            stop=stop_after_attempt(self.limits.retries + 1),
            wait=self._pause,
        )
        try:
            return await attempts(attempt, *arguments)
        except RetryError as error:
            last = error.last_attempt.exception()
            raise Unusable(f"{last}, {error.last_attempt.attempt_number} times") from None

    def _pause(self, state: Any) -> float:
        from tenacity import wait_random_exponential

        asked = state.outcome.exception().wait
        backoff = wait_random_exponential(multiplier=2 * self.limits.backoff, max=LONGEST_WAIT)
        return min(max(asked, backoff(state)), LONGEST_WAIT)

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.limits.max_seconds):
                yield
        except TimeoutError:
            raise Transient(f"not done after {self.limits.max_seconds:g} s") from None


@contextmanager
def network() -> Iterator[None]:
    """Turn whatever the HTTP library raises into `Transient` or `Unusable`.

    Beside its own exceptions it lets through those of the libraries below it, in groups too: of a
    host name that cannot be encoded, of a port that is no port.
    """
    import httpx

    try:
        yield
    except (Transient, Unusable):
        raise
    except (httpx.HTTPError, OSError) as error:
        raise Transient(f"{type(error).__name__} {error}".strip()) from None
    except Exception as error:
        raise Unusable(f"not an address that can be asked ({error})") from None


def _checked(address: str) -> str:
    import httpx

    try:
        url = httpx.URL(address)
        url.raw_host.decode("ascii")
        valid = url.scheme in ("http", "https") and url.host and url.port != 0
        valid = valid and (url.port or 1) <= 65535
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise Unusable(f"not an address ({error})") from None
    if not valid:
        raise Unusable("not an address of the web")
    return address


def _short(reason: str) -> str:
    text = " ".join(reason.split())
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}..."

"""Images of the candidates: downloaded politely, or found in a local folder (paper, Sec. 3.1)."""

import asyncio
import io
import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd
from PIL import Image

from wood.data.image_ids import as_image_id
from wood.data.images import load_image
from wood.ood.parquet import read_shard
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.store import atomic_path, write_table
from wood.runtime.web import Client, Limits, Transient, Unusable, local_folder, web_address

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

IMAGE_BASE = "s3://open-images-dataset"
SOURCES = ("base", "thumbnail", "original")
OK, MISSING, FAILED = "ok", "missing", "failed"
KEPT = ["license", "author", "url"]
MANIFEST = ["image_id", "split", "path", "width", "height", "status", "reason", *KEPT, "rotation"]
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
JPEG_QUALITY = 95


@dataclass(frozen=True)
class ImageLimits(Limits):
    """The limits of every request, and of what is in a photograph.

    Attributes:
        max_pixels: of one image, seen in its header before it is decoded.
    """

    max_pixels: int = 64_000_000


@dataclass(frozen=True)
class _Job:
    """One image to get: where it goes, and the addresses to try in turn."""

    number: int
    path: Path
    addresses: tuple[str, ...]
    rotation: float | None


@dataclass(frozen=True)
class _Outcome:
    """What became of an image."""

    number: int
    status: str
    reason: str = ""
    path: Path | None = None
    size: tuple[int, int] = (0, 0)


def download_images(
    candidates: str | Path,
    images_dir: str | Path,
    output: str | Path,
    *,
    base: str | Path = IMAGE_BASE,
    shard_index: int = 0,
    shard_count: int = 1,
    sources: Sequence[str] = SOURCES,
    max_failed_fraction: float = 0.05,
    **limits: Any,
) -> pd.DataFrame:
    """Get one shard of the candidates' images and write the manifest of what came of each.

    Downloaded images lie at images_dir/<split>/<id>.jpg, whole, decodable and upright: a file that
    is there is not asked for again, so that a killed run goes on where it stopped. Images of a
    local folder stay where they are, but for those that the list says are rotated, which are
    written upright to images_dir.

    Args:
        candidates: what `filter_candidates` wrote.
        images_dir: the folder of the images, shared by all shards.
        output: Parquet manifest, in the order of the candidates: `MANIFEST`. status is "ok",
            "missing" (404, 403, 410 or no file: nobody has it any more) or "failed"; reason says
            why; rotation is the list's (degrees counter-clockwise), already applied to the pixels.
        base: where <split>/<id>.jpg lie: http(s)://, s3:// (unsigned), file:// or a folder.
        shard_index, shard_count: which part of the candidates.
        sources: what to ask, in turn: "base", then the "thumbnail" and "original" of the list.
        max_failed_fraction: share of failed (not of missing) images past which the stage fails.
        limits: see `ImageLimits`.

    Returns:
        The manifest.

    Raises:
        InputError: an image id that leaves the folder, no candidate in the shard, not one image to
            be had, or too many failures. The images that did come stay.
    """
    bounds = ImageLimits(**limits)
    unknown = sorted(set(sources) - set(SOURCES))
    if unknown or not sources:
        raise InputError(f"sources: {unknown or 'nothing'} is not among {', '.join(SOURCES)}.")
    rows = _read_rows(candidates, shard_index, shard_count)
    folder = local_folder(base)
    images_dir = Path(images_dir)
    if folder is not None:
        outcomes = _local(rows, folder, images_dir, bounds)
    else:
        _remove_parts(rows, images_dir)
        jobs = _jobs(rows, images_dir, web_address(str(base)), sources)
        outcomes = _download(jobs, bounds)
    shown = progress(outcomes, len(rows), "images")
    found = sorted(shown, key=lambda outcome: outcome.number)
    manifest = _manifest(rows, found)
    _log(manifest)
    _fail_past(manifest, base, max_failed_fraction)
    write_table(output, manifest)
    return manifest


def _read_rows(candidates: str | Path, shard_index: int, shard_count: int) -> pd.DataFrame:
    rows = read_shard(candidates, shard_index, shard_count)
    if rows.empty:
        raise InputError(f"{candidates}: there is no candidate in shard {shard_index}.")
    for name in pd.concat([rows["image_id"], rows["split"].drop_duplicates()]):
        as_image_id(name, str(candidates))
    return rows


def _log(manifest: pd.DataFrame) -> None:
    counts = manifest["status"].value_counts()
    logger.info(", ".join(f"{counts.get(name, 0)} {name}" for name in (OK, MISSING, FAILED)))
    for row in manifest[manifest["status"] != OK].itertuples():
        logger.warning("%s/%s: %s (%s)", row.split, row.image_id, row.status, row.reason)


def _fail_past(manifest: pd.DataFrame, base: str | Path, max_failed_fraction: float) -> None:
    bad = manifest[manifest["status"] != OK]
    failed = bad[bad["status"] == FAILED]
    if len(bad) == len(manifest):
        raise InputError(
            f"{base}: not one of {len(manifest)} images could be had; the first one: "
            f"{bad['image_id'].iloc[0]}: {bad['reason'].iloc[0].rstrip('.')}."
        )
    if len(failed) > max_failed_fraction * len(manifest):
        raise InputError(
            f"{base}: {len(failed)} of {len(manifest)} images failed, more than "
            f"max_failed_fraction {max_failed_fraction:g} allows; the first one: "
            f"{failed['image_id'].iloc[0]}: {failed['reason'].iloc[0].rstrip('.')}."
        )


def _stored(path: Path) -> str:
    """The path as it is kept: relative to the working folder where the photograph lies in it.

    A folder of results that is copied or moved has its own photographs then.
    """
    here = Path.cwd().resolve()
    path = path.resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _manifest(rows: pd.DataFrame, outcomes: Sequence[_Outcome]) -> pd.DataFrame:
    found = pd.DataFrame(
        {
            "path": [_stored(o.path) if o.path else "" for o in outcomes],
            "width": [o.size[0] for o in outcomes],
            "height": [o.size[1] for o in outcomes],
            "status": [o.status for o in outcomes],
            "reason": [o.reason for o in outcomes],
        }
    )
    rotation = rows["rotation"].fillna(0).astype("int16")
    kept = rows[["image_id", "split", *KEPT]].assign(rotation=rotation)
    return pd.concat([kept, found], axis=1)[MANIFEST]


def _rotation(value: float | None) -> float | None:
    return None if pd.isna(value) else float(value)


# Images of a local folder


def _local(
    rows: pd.DataFrame, folder: Path, images_dir: Path, limits: ImageLimits
) -> Iterator[_Outcome]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of images.")

    def look(job: tuple[int, Any]) -> _Outcome:
        number, row = job
        path = folder / row.split / f"{row.image_id}.jpg"
        rotation = _rotation(row.rotation)
        if not path.is_file():
            return _Outcome(number, MISSING, f"{path}: no such file")
        try:
            image = load_image(path, limits.max_pixels, rotation)
            if rotation:
                path = images_dir / row.split / path.name
                _save(image, path)
        except InputError as error:
            return _Outcome(number, FAILED, str(error))
        return _Outcome(number, OK, path=path, size=image.size)

    jobs = enumerate(rows.itertuples(index=False))
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        while block := list(itertools.islice(jobs, 256)):
            yield from pool.map(look, block)


def _header_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image ({error}).") from None


def _save(image: Image.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        image.save(temporary, format="JPEG", quality=JPEG_QUALITY)


# Images over HTTP


def _jobs(
    rows: pd.DataFrame, images_dir: Path, base: str, sources: Sequence[str]
) -> Iterator[_Job]:
    columns = {"thumbnail": "thumbnail_url", "original": "original_url"}
    for number, row in enumerate(rows.to_dict("records")):
        listed = {source: row.get(column) or "" for source, column in columns.items()}
        # An id may hold what means something in an address: "#", "?", "%", a space.
        listed["base"] = f"{base}/{quote(row['split'])}/{quote(row['image_id'])}.jpg"
        addresses = (listed[source] for source in sources)
        yield _Job(
            number,
            images_dir / row["split"] / f"{row['image_id']}.jpg",
            tuple(address for address in addresses if address.startswith(("http://", "https://"))),
            _rotation(row["rotation"]),
        )


def _remove_parts(rows: pd.DataFrame, images_dir: Path) -> None:
    """Remove what a killed run left of this shard's images; other shards may be running."""
    for split, of_split in rows.groupby("split"):
        names = {f".{image_id}.jpg.part" for image_id in of_split["image_id"]}
        for part in (images_dir / split).glob(".*.part"):
            if part.name in names:
                part.unlink(missing_ok=True)


def _download(jobs: Iterator[_Job], limits: ImageLimits) -> Iterator[_Outcome]:
    with asyncio.Runner() as runner:
        downloader = _Downloader(limits, jobs)
        try:
            runner.run(downloader.start())
            while (outcome := runner.run(downloader.outcome())) is not None:
                yield outcome
        finally:
            runner.run(downloader.stop())


class _Downloader:
    """Workers that share one iterator of jobs and one connection pool."""

    def __init__(self, limits: ImageLimits, jobs: Iterator[_Job]) -> None:
        self.limits = limits
        self.jobs = jobs

    async def start(self) -> None:
        self.outcomes: asyncio.Queue[_Outcome | BaseException | None] = asyncio.Queue()
        # The body as a whole has a limit too: a byte now and then must not hold a connection.
        limits = replace(self.limits, max_seconds=10 * self.limits.timeout)
        self.client = Client(limits, check_redirect=_refuse_taken_back)
        self.workers = [asyncio.create_task(self._work()) for _ in range(self.limits.connections)]
        self.end = asyncio.create_task(self._finish())

    async def outcome(self) -> _Outcome | None:
        """Return the next finished image, or None after the last."""
        outcome = await self.outcomes.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def stop(self) -> None:
        tasks = [*self.workers, self.end]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.client.close()

    async def _finish(self) -> None:
        try:
            await asyncio.gather(*self.workers)
            await self.outcomes.put(None)
        except Exception as error:  # a full disk, for one: it must reach the caller
            await self.outcomes.put(error)

    async def _work(self) -> None:
        for job in self.jobs:
            await self.outcomes.put(await self._image(job))

    async def _image(self, job: _Job) -> _Outcome:
        if job.path.exists():
            try:
                size = await asyncio.to_thread(_header_size, job.path)
                return _Outcome(job.number, OK, path=job.path, size=size)
            except InputError:
                logger.warning("%s: was not an image, and is fetched again", job.path)
        reasons, gone = [], True
        for address in job.addresses:
            try:
                size = await self.client.with_retries(self._attempt, address, job)
                return _Outcome(job.number, OK, path=job.path, size=size)
            except Unusable as error:
                reasons.append(f"{address}: {error}")
                gone = gone and error.gone
        reason = "; ".join(reasons) or "there is no address to ask"
        return _Outcome(job.number, MISSING if gone else FAILED, reason)

    async def _attempt(self, address: str, job: _Job) -> tuple[int, int]:
        content = await self.client.content(address)
        try:
            return await asyncio.to_thread(_store, content, job, self.limits.max_pixels)
        except InputError as error:
            if content.startswith(JPEG_START) and JPEG_END not in content[-64:]:
                raise Transient("truncated JPEG") from None
            raise Unusable(str(error).split(": ", 1)[-1].rstrip(".")) from None


def _refuse_taken_back(place: "httpx.URL") -> None:
    """Flickr shows a picture that says so in the place of a photograph that is gone."""
    if "photo_unavailable" in place.path:
        raise Unusable("taken back by its author", gone=True)


def _store(content: bytes, job: _Job, max_pixels: int) -> tuple[int, int]:
    """Check that `content` is an image and write it upright; return its size.

    Bytes that are an upright JPEG already are written as they came.
    """
    with atomic_path(job.path) as temporary:
        temporary.write_bytes(content)
        image = load_image(temporary, max_pixels, job.rotation)
        if not _is_upright_jpeg(content, job.rotation):
            with temporary.open("wb") as file:
                image.save(file, format="JPEG", quality=JPEG_QUALITY)
    return image.size


def _is_upright_jpeg(content: bytes, rotation: float | None) -> bool:
    with Image.open(io.BytesIO(content)) as image:
        orientation = image.getexif().get(0x0112, 1)
        return image.format == "JPEG" and orientation in (0, 1) and not rotation

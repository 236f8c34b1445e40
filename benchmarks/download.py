"""Rate of the image downloader against a server on the loopback address that answers late.

    python benchmarks/download.py --images 400 --latency 0.1

The server waits before each answer, as a distant one does, so that the number of connections
counts. The images are as large as those of Open Images (1024 x 768 pixels).
"""

import argparse
import io
import resource
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter


def photograph(seed: int) -> bytes:
    """Return a JPEG of the size and about the file length of a photograph."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((1024, 768)).filter(ImageFilter.UnsharpMask())
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=92)
    return file.getvalue()


def serve(photographs: list[bytes], latency: float) -> ThreadingHTTPServer:
    """Answer every path with one of the photographs, after `latency` seconds."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(latency)
            content = photographs[hash(self.path) % len(photographs)]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds before each answer")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 4, 16, 64])
    arguments = parser.parse_args()

    from wood.ood.candidates import CANDIDATES
    from wood.ood.download import download_images

    photographs = [photograph(seed) for seed in range(8)]
    size = np.mean([len(content) for content in photographs])
    server = serve(photographs, arguments.latency)
    table = pd.DataFrame({"image_id": [f"{n:016x}" for n in range(arguments.images)]})
    table = table.assign(split="train", rotation=0).reindex(columns=CANDIDATES.names, fill_value="")
    print(f"{arguments.images} images of {size / 1e3:.0f} kB, {arguments.latency} s latency")
    for connections in arguments.connections:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            table.to_parquet(folder / "candidates.parquet")

            def download(folder: Path = folder, connections: int = connections) -> float:
                started = time.perf_counter()
                download_images(
                    folder / "candidates.parquet",
                    folder / "images",
                    folder / "manifest.parquet",
                    base=f"http://127.0.0.1:{server.server_port}",
                    connections=connections,
                    rate_limit=None,
                )
                return time.perf_counter() - started

            seconds, again = download(), download()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{connections:3d} connections: {arguments.images / seconds:6.1f} images/s, "
            f"{size * arguments.images / seconds / 1e6:5.1f} MB/s; "
            f"when all are there {arguments.images / again:.0f} images/s; peak {peak:.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()

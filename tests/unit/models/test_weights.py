"""Weights from elsewhere: fetched whole, and read without unpickling whatever they hold."""

import hashlib
import io
import struct
import zipfile

import numpy as np
import pytest
import torch

from tests.places import CASES
from tests.server import good, raw, status
from tests.unit.models.test_backbones import mxnet_params
from wood.models.weights import download, fetch_weights, read_state
from wood.runtime.errors import InputError


def weights_files(folder):
    """Files that hold no plain, named tensors, by what is wrong with them."""
    plain = torch.ones(3)

    def saved(name, state, **options):
        path = folder / f"{name}.pth"
        torch.save(state, path, **options)
        return path

    yield CASES / "weights" / "dims.params", "50000 dimensions"
    yield CASES / "weights" / "int.pth", "something else"
    yield saved("none", None), "something else"
    yield saved("list", [plain]), "something else"
    yield saved("nested", {"a": {"b": plain}}), "something else"
    yield saved("tuple", {("a", "b"): plain}), "something else"
    yield saved("sparse", {"a": torch.eye(3).to_sparse()}), "no plain, dense"
    yield saved("csr", {"a": torch.eye(3).to_sparse_csr()}), "no plain, dense"
    yield saved("repeated", {"a": torch.ones(1).expand(10**9, 10**3)}), "no plain, dense"
    yield saved("meta", {"a": torch.ones(10**9, device="meta")}), "weights"
    yield saved("quantized", {"a": torch.quantize_per_tensor(plain, 1, 0, torch.qint8)}), "weights"
    for new in (True, False):  # torch.load would look at such names for minutes
        name = "x" * 1_000_000
        kinds = {"_use_new_zipfile_serialization": new}
        yield saved(f"long-{new}", {"a": plain, name: plain}, **kinds), "a name of 1000000"
    whole = saved("old", {"a": plain}, _use_new_zipfile_serialization=False)
    unended = folder / "unended.pth"
    unended.write_bytes(whole.read_bytes()[:600].replace(b"OrderedDict\n", b"\xe9" * 200_000))
    yield unended, "it is cut, or holds more than tensors"
    compressed = folder / "compressed.pth"
    with (
        zipfile.ZipFile(saved("whole", {"a": plain})) as whole,
        zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as file,
    ):
        for name in whole.namelist():
            file.writestr(name, whole.read(name))
    yield compressed, "it is compressed"
    for number, (shape, kind, names) in enumerate(
        [((-1, -4), 0, "a"), ((2**62, 4), 0, "a"), ((1,), 99, "a"), ((1,), -1, "a")]
    ):
        array = struct.pack(f"<II{len(shape)}qiii", 0xF993FAC8, len(shape), *shape, 1, 0, kind)
        content = struct.pack("<QQQ", 0x112, 0, 1) + array + bytes(4) + struct.pack("<QQ", 1, 1)
        path = folder / f"{number}.params"
        path.write_bytes(content + names.encode())
        yield path, "MXNet"
    twice = folder / "twice.params"
    content = mxnet_params({"a": np.zeros(1, np.float32), "b": np.zeros(1, np.float32)}, "64 bit")
    twice.write_bytes(content[:-1] + b"a")
    yield twice, "twice"
    page = folder / "page.safetensors"
    page.write_text("<html>")
    yield page, "not a readable"


def test_hostile_files_are_refused_at_once(tmp_path):
    for path, reason in weights_files(tmp_path):
        with pytest.raises(InputError, match=reason) as caught:
            read_state(path)
        sentence = str(caught.value)
        assert sentence.startswith(str(path))
        assert "weights_only" not in sentence
        assert "\n" not in sentence


def test_weights_are_fetched_whole_or_not_at_all(server, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: tmp_path)
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(3)}, buffer)
    content = buffer.getvalue()
    server.answers["/net.pth"] = good(content)
    path = download(f"{server.base}/net.pth")
    assert torch.equal(read_state(path)["a"], torch.ones(3))
    digest = hashlib.sha256(content).hexdigest()
    assert (tmp_path / "checkpoints" / "net.pth.sha256").read_text().split() == [digest]
    path.write_bytes(content + b"x")
    with pytest.raises(InputError, match="its SHA-256 is"):
        download(f"{server.base}/net.pth")
    for number, answer in enumerate(
        [
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + content[:100]),
            raw(b"HTTP/1.1 200 OK\r\n\r\n" + content[:100]),
            good(content[:100]),
            good(b"<html>Sign in to download</html>"),
            status(404),
        ]
    ):
        server.answers["/net.pth"] = answer
        folder = tmp_path / str(number)
        with pytest.raises(InputError, match="could not be fetched"):
            fetch_weights([f"{server.base}/net.pth"], folder / "net.pth", retries=1, backoff=0.01)
        assert not list(folder.glob("[!.]*"))
    with pytest.raises(InputError, match="names no file"):
        download(server.base)

"""Files from the web: whole, checked and bounded, whatever the server does."""

import gzip
import hashlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.places import ROOT
from tests.server import File, drip, first, good, hang, raw, redirect, reply, reset, status
from wood.runtime.download import bounded, check_checksum, fetch
from wood.runtime.errors import InputError
from wood.runtime.web import seconds_asked_for

BODY = bytes(range(256)) * 400
WHOLE = len(BODY)
HALF = WHOLE // 2
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()
QUICK = {"timeout": 0.5, "retries": 2, "backoff": 0.01}


def get(server, folder, answer, *, name="file", path="/file", **settings):
    """Fetch what `answer` serves; afterwards nothing but the file lies in its folder."""
    server.answers[path] = answer
    options = {key: settings.pop(key) for key in ("checksum", "check") if key in settings}
    limits = bounded(**QUICK | settings)
    found = fetch(f"{server.base}{path}", folder / name, limits=limits, **options)
    assert [file.name for file in found.parent.iterdir()] == [name]
    return found.read_bytes()


def refused(server, folder, answer, match, **settings):
    with pytest.raises(InputError, match=match) as caught:
        get(server, folder, answer, **settings)
    assert not (folder / "file").exists()
    assert "\n" not in str(caught.value)


def head(code="200 OK", **headers):
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {code}", *lines, "Connection: close", "", ""]).encode("latin-1")


def cut(content=BODY, **headers):
    """The first half, then the end of the connection."""
    return raw(head(Content_Length=len(content), **headers) + content[: len(content) // 2])


def part(begin, end, total=WHOLE, **headers):
    """A 206 with BODY[begin:end], whatever was asked for."""
    span = f"bytes {begin}-{end - 1}/{total}"
    body = BODY[begin:end]
    fields = {"Content_Range": span, "Content_Length": len(body), "ETag": '"1"'} | headers
    kept = {name: value for name, value in fields.items() if value is not None}
    return raw(head("206 Partial Content", **kept) + body)


def then(*answers):
    """One answer after another; the last one for all requests after it."""
    return lambda handler, before: answers[min(before, len(answers) - 1)](handler, before)


def test_a_whole_file_is_fetched_once(server, tmp_path):
    file = File(BODY)
    assert get(server, tmp_path, file) == BODY
    assert get(server, tmp_path, status(500)) == BODY
    assert file.asked == [None]


@pytest.mark.parametrize("stops", [[HALF], [1], [100, 100, 100], [len(BODY) - 1]])
def test_a_cut_file_goes_on_where_it_was(server, tmp_path, stops):
    file = File(BODY, stops)
    assert get(server, tmp_path, file, retries=len(stops)) == BODY
    places = [0]
    for stop in stops:
        places.append(places[-1] + stop)
    assert file.asked == [None, *(f"bytes={place}-" for place in places[1:])]


def test_progress_is_no_failed_attempt(server, tmp_path):
    content = BODY * 50
    file = File(content, [1_100_000] * 4)
    assert get(server, tmp_path, file, retries=0) == content
    assert len(file.asked) == 5


CHANGED = BODY[::-1]
OTHER_PARTS = {
    "another range": part(HALF + 1, len(BODY)),
    "an earlier range": part(0, len(BODY)),
    "a range beyond the end": part(HALF, len(BODY), total=len(BODY) - 5),
    "another total": part(HALF, len(BODY), total=len(BODY) + 5),
    "no range": part(HALF, len(BODY), Content_Range=None),
    "a range in digits of another script": raw(
        head("206 P", Content_Range="bytes \xb2-3/4", Content_Length=2, ETag='"1"') + b"xx"
    ),
    "an unknown total": part(HALF, len(BODY), Content_Range=f"bytes {HALF}-{len(BODY) - 1}/*"),
    "a length that is not the range's": part(HALF, len(BODY), Content_Length=10),
    "another version": part(HALF, len(BODY), ETag='"2"'),
    "no version": part(HALF, len(BODY), ETag=None),
    "several parts": raw(
        head("206 P", Content_Type="multipart/byteranges; boundary=x", Content_Length=3) + b"--x"
    ),
    "416": status(416),
}


@pytest.mark.parametrize("kind", OTHER_PARTS)
def test_another_part_than_the_one_asked_for_begins_the_file_anew(server, tmp_path, kind):
    """The right bytes at last, and never a mixture."""
    answer = then(cut(ETag='"1"'), OTHER_PARTS[kind], good(BODY))
    assert get(server, tmp_path, answer) == BODY
    assert "Range" not in server.headers["/file"]


def test_a_shorter_part_is_kept_and_the_rest_asked_for(server, tmp_path):
    answer = then(
        cut(ETag='"1"'), part(HALF, HALF + 1000), part(HALF + 1000, len(BODY)), status(500)
    )
    assert get(server, tmp_path, answer) == BODY


@pytest.mark.parametrize("wrong", ["another range", "an earlier range", "no range", "416"])
def test_a_server_of_wrong_parts_only_is_an_error(server, tmp_path, wrong):
    answer = then(cut(ETag='"1"'), OTHER_PARTS[wrong])
    refused(server, tmp_path, answer, "could not be fetched", retries=3)


def test_a_file_that_changed_in_between_comes_anew(server, tmp_path):
    """If-Range: the server sends all of the new one."""
    old, new = File(BODY, [HALF]), File(CHANGED, tag='"2"')
    assert get(server, tmp_path, then(old, new)) == CHANGED


@pytest.mark.parametrize("tag", ["", 'W/"1"', "1"])
def test_without_a_strong_version_nothing_is_resumed(server, tmp_path, tag):
    file = File(BODY, [HALF], tag=tag)
    assert get(server, tmp_path, file) == BODY
    assert file.asked == [None, None]
    file = File(BODY, [HALF], tag=tag)
    (tmp_path / "known").mkdir()
    assert get(server, tmp_path / "known", file, checksum=MD5) == BODY
    assert file.asked == [None, f"bytes={HALF}-"]


def test_a_part_of_before_is_only_kept_with_notes_that_fit(server, tmp_path):
    for notes in ("", "{", "[]", '{"address": 1}', "[" * 100_000, None):
        (tmp_path / ".file.part").write_bytes(CHANGED[:HALF])
        if notes is not None:
            (tmp_path / ".file.part.json").write_text(notes)
        file = File(BODY)
        assert get(server, tmp_path, file) == BODY
        assert file.asked == [None]
        (tmp_path / "file").unlink()


NO_END = {
    "no length": raw(head() + BODY[:HALF]),
    "HTTP 1.0": raw(b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:HALF]),
    "cut": cut(),
    "cut chunks": raw(head(Transfer_Encoding="chunked") + b"100\r\n" + BODY[:100]),
    "no last chunk": raw(head(Transfer_Encoding="chunked") + b"4\r\nabcd\r\n"),
    "no answer": reset,
    "no headers": raw(b"HTTP/1.1 200"),
    "nonsense": raw(b"\x00\xff" * 50),
    "two lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"),
    "a length that is no number": raw(head(Content_Length="\xb2") + b"ab"),
    "a negative length": raw(head(Content_Length="-5") + b"ab"),
    "more than its length": first(cut(), b"", times=99),
    "endless headers": raw(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000),
    "a page of nothing": status(204),
    "a part that nobody asked for": part(0, len(BODY)),
    "not found": status(404),
    "forbidden": status(403),
    "in trouble": status(503),
    "not changed": status(304),
    "hanging": hang,
    "dripping": drip,
    "redirects without end": redirect("/file"),
    "redirect to a file": redirect("file:///etc/passwd"),
    "redirect to nowhere": redirect(""),
    "redirect to a bad port": redirect("http://127.0.0.1:99999/"),
    "redirect to a bad host": redirect("http://xn--a/"),
    "redirect to another scheme": redirect("gopher://127.0.0.1/"),
    "unknown compression": raw(head(Content_Length=4, Content_Encoding="br") + b"abcd"),
    "transfer compression": raw(head(Transfer_Encoding="gzip, chunked") + b"0\r\n\r\n"),
}


@pytest.mark.parametrize("kind", NO_END)
def test_what_is_not_whole_is_no_file(server, tmp_path, kind):
    refused(server, tmp_path, NO_END[kind], "could not be fetched", retries=1)


def test_a_known_checksum_stands_for_a_missing_length(server, tmp_path):
    assert get(server, tmp_path, raw(head() + BODY), checksum=SHA256) == BODY
    (tmp_path / "file").unlink()
    refused(server, tmp_path, raw(head() + BODY[:HALF]), "its SHA-256 is", checksum=SHA256)


def test_chunks_that_end_are_whole(server, tmp_path):
    answer = raw(head(Transfer_Encoding="chunked") + b"4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n")
    assert get(server, tmp_path, answer) == b"abcdef"


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:0/x",
        "http://127.0.0.1:-1/x",
        "http://xn--a/x",
        "http://\u2603\u2603.\u0000/x",
        "http:///x",
        "http://[::1/x",
        "http://" + "a" * 300 + "/x",
        "http://a..b/x",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "x",
        "http://127.0.0.1:1/x",
    ],
)
def test_a_bad_address_is_one_reason(server, tmp_path, address):
    with pytest.raises(InputError, match="could not be fetched") as caught:
        fetch(address, tmp_path / "file", limits=bounded(**QUICK | {"retries": 0}))
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)
    server.answers["/good"] = good(BODY)
    limits = bounded(**QUICK | {"retries": 0})
    path = fetch([address, f"{server.base}/good"], tmp_path / "file", limits=limits)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("2", 2),
        ("\xb2", 0),
        ("\u0663", 0),
        ("1e9", 0),
        ("-5", 0),
        ("nan", 0),
        ("9" * 400, 60),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2915 07:28:00 GMT", 60),
        ("Wed, 99 Foo 2015", 0),
    ],
)
def test_how_long_a_server_asks_to_wait(text, seconds):
    assert seconds_asked_for(text) == seconds


@pytest.mark.parametrize("wait", ["\xb2", "soon", "", "0"])
def test_a_wait_that_is_no_number_is_no_error(server, tmp_path, wait):
    assert get(server, tmp_path, first(status(503, Retry_After=wait), BODY)) == BODY


def test_mirrors_are_asked_in_turn(server, tmp_path):
    server.answers |= {"/a": status(404), "/b": good(CHANGED), "/c": good(BODY)}
    places = [f"{server.base}/{name}" for name in "abcd"]
    path = fetch(places, tmp_path / "file", checksum=MD5, limits=bounded(**QUICK))
    assert path.read_bytes() == BODY
    assert dict(server.asked) == {"/a": 1, "/b": 1, "/c": 1}


def test_a_part_of_one_mirror_goes_on_at_another_if_the_checksum_is_known(server, tmp_path):
    broken, whole = File(BODY, [HALF, 0, 0]), File(BODY, tag='"another"')
    server.answers |= {"/a": broken, "/b": whole}
    places = [f"{server.base}/{name}" for name in "ab"]
    path = fetch(places, tmp_path / "file", checksum=MD5, limits=bounded(**QUICK))
    assert path.read_bytes() == BODY
    assert whole.asked == [f"bytes={HALF}-"]


def test_a_resumed_file_that_is_wrong_is_fetched_once_more(server, tmp_path):
    """What another run left, of a file that changed under its address."""
    get_half = File(CHANGED, [HALF, 0, 0])
    server.answers["/file"] = get_half
    with pytest.raises(InputError):
        fetch(f"{server.base}/file", tmp_path / "file", checksum=MD5, limits=bounded(**QUICK))
    assert (tmp_path / ".file.part").stat().st_size == HALF
    assert get(server, tmp_path, File(BODY), checksum=MD5) == BODY


@pytest.mark.parametrize("checksum", [MD5, SHA256, SHA256[:15], "SHA256:" + SHA256[7:].upper()])
def test_checksums_are_enforced(server, tmp_path, checksum):
    assert get(server, tmp_path, good(BODY), checksum=checksum) == BODY
    (tmp_path / "file").write_bytes(CHANGED)
    with pytest.raises(InputError, match="remove the file to fetch it again"):
        get(server, tmp_path, good(BODY), checksum=checksum)
    (tmp_path / "file").unlink()
    refused(server, tmp_path, good(CHANGED), "does not begin with", checksum=checksum)


def test_digits_in_the_name_are_a_checksum(server, tmp_path):
    digits = SHA256[7:15]
    assert get(server, tmp_path, good(BODY), name=f"net-{digits}.pth") == BODY
    with pytest.raises(InputError, match="does not begin with 01234567"):
        get(server, tmp_path / "other", good(BODY), name="net-01234567.pth")


@pytest.mark.parametrize("bad", ["", "abc", "md5:", "md5:12", "crc:12345678", "sha256:xyzxyzxyz"])
def test_a_checksum_of_another_form_is_an_error(bad):
    with pytest.raises(InputError, match="is not md5: or sha256:"):
        check_checksum(bad)


def test_bytes_are_bounded(server, tmp_path):
    def endless(handler, before):
        handler.wfile.write(head(Transfer_Encoding="chunked"))
        handler.close_connection = True
        try:
            while True:
                handler.wfile.write(b"1000\r\n" + bytes(4096) + b"\r\n")
        except OSError:
            pass

    for answer in (good(BODY), endless):
        refused(server, tmp_path, answer, "more than 10000 bytes", max_bytes=10_000)
    bomb = gzip.compress(gzip.compress(bytes(200_000_000), 9))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for encoding in ("gzip", "gzip, gzip", "GZIP", "deflate", "x-gzip"):
        answer = raw(head(Content_Length=len(bomb), Content_Encoding=encoding) + bomb)
        refused(server, tmp_path, answer, "compressed")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert server.headers["/file"]["Accept-Encoding"] == "identity"


def test_time_is_bounded(server, tmp_path):
    """A file that comes fast enough, but for ever."""

    def slow(handler, before):
        handler.wfile.write(head(Content_Length=10**9))
        handler.close_connection = True
        try:
            while True:
                handler.wfile.write(bytes(1000))
                time.sleep(0.01)
        except OSError:
            pass

    refused(server, tmp_path, slow, "not done after 1 s", max_seconds=1.0)


def test_what_is_not_wanted_gets_no_name(server, tmp_path):
    def check(path):
        if path.read_bytes() != BODY:
            raise InputError(f"{path}: a page, not the file.")

    refused(server, tmp_path, good(b"<html>"), "a page, not the file", check=check)
    assert get(server, tmp_path, good(BODY), check=check) == BODY


def test_a_full_disk_is_seen_before(server, tmp_path):
    answer = raw(head(Content_Length=10**18))
    refused(server, tmp_path, answer, "GB are free", max_bytes=10**19)


def _fetch(address, path):
    fetch(address, path, limits=bounded(**QUICK))


def test_two_processes_fetch_a_file_once(server, tmp_path):
    def slowly(handler, before):
        time.sleep(0.3)
        reply(handler, BODY)

    server.answers["/file"] = slowly
    context = multiprocessing.get_context("spawn")
    arguments = (f"{server.base}/file", tmp_path / "file")
    processes = [context.Process(target=_fetch, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.asked["/file"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_killed_run_goes_on(server, tmp_path):
    """SIGKILL half-way; the next one asks for the rest only."""

    def stall(handler, before):
        if before:
            file(handler, before)
            return
        handler.wfile.write(head(Content_Length=len(BODY), ETag='"1"') + BODY[:HALF])
        handler.wfile.flush()
        time.sleep(5)

    file = File(BODY)
    server.answers["/file"] = stall
    script = textwrap.dedent(f"""
        from wood.runtime.download import fetch
        fetch({server.base + "/file"!r}, {str(tmp_path / "file")!r})
    """)
    run = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    part = tmp_path / ".file.part"
    while not (part.exists() and part.stat().st_size > HALF // 2) and run.poll() is None:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    size = part.stat().st_size
    assert 0 < size <= HALF
    assert get(server, tmp_path, stall) == BODY
    assert file.asked == [f"bytes={size}-"]

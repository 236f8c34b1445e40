import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from wood.data.images import load_image
from wood.runtime.errors import InputError

RED, GREEN = (220, 30, 30), (30, 200, 40)


def red_left_green_right(size=(32, 16)):
    image = Image.new("RGB", size, GREEN)
    image.paste(RED, (0, 0, size[0] // 2, size[1]))
    return image


def near(pixel, colour, tolerance=12):
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, colour, strict=True))


def test_plain_photograph_keeps_size_and_colours(tmp_path):
    red_left_green_right().save(tmp_path / "a.jpg", quality=95)
    image = load_image(tmp_path / "a.jpg")
    assert image.mode == "RGB"
    assert image.size == (32, 16)
    assert near(image.getpixel((4, 8)), RED)
    assert near(image.getpixel((28, 8)), GREEN)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "I;16", "I"])
def test_grey_of_every_mode_becomes_the_same_rgb(tmp_path, mode):
    grey = np.tile(np.array([[0, 255]], dtype=np.uint8), (4, 4))
    image = Image.fromarray(grey)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(grey.astype(np.int32) * 257)
    else:
        image = image.convert(mode)
    path = tmp_path / ("a.tif" if mode == "I" else "a.png")
    image.save(path)
    rgb = np.asarray(load_image(path))
    assert rgb.shape == (4, 8, 3)
    assert (rgb == grey[..., None]).all()


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path):
    Image.fromarray(np.full((2, 3), 0x80FF, dtype=np.uint16)).save(tmp_path / "a.png")
    assert (np.asarray(load_image(tmp_path / "a.png")) == 0x80).all()


def test_cmyk_photograph_keeps_its_colours(tmp_path):
    red_left_green_right().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    image = load_image(tmp_path / "a.jpg")
    assert image.mode == "RGB"
    assert near(image.getpixel((4, 8)), RED)
    assert near(image.getpixel((28, 8)), GREEN)


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_transparent_pixels_are_white(tmp_path, mode):
    image = Image.new("RGBA", (4, 2), (255, 0, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.convert(mode).save(tmp_path / "a.png")
    rgb = load_image(tmp_path / "a.png")
    assert rgb.getpixel((0, 0)) == (255, 255, 255)
    assert rgb.getpixel((3, 1)) == (255, 0, 0)


# Where EXIF says the stored top-left corner belongs, as (x is right, y is bottom).
CORNERS = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}


@pytest.mark.parametrize("orientation", CORNERS)
def test_exif_orientation_is_applied(tmp_path, orientation):
    stored = Image.new("RGB", (32, 16), GREEN)
    stored.paste(RED, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = load_image(tmp_path / "a.jpg")
    assert image.size == ((16, 32) if orientation >= 5 else (32, 16))
    for x in (0, 1):
        for y in (0, 1):
            pixel = image.getpixel((2 + x * (image.width - 5), 2 + y * (image.height - 5)))
            assert near(pixel, RED if (x, y) == CORNERS[orientation] else GREEN)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_does_not_spoil_a_readable_image(tmp_path):
    red_left_green_right().save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\x01")
    assert load_image(tmp_path / "a.jpg").size == (32, 16)


@pytest.mark.parametrize(
    ("suffix", "at_least", "size"),
    [
        ("jpg", None, (800, 600)),
        ("jpg", 500, (800, 600)),
        ("jpg", 400, (400, 300)),
        ("jpg", 100, (100, 75)),
        ("jpg", 10, (100, 75)),
        ("png", 100, (800, 600)),
    ],
)
def test_a_large_jpeg_comes_as_small_as_it_is_needed(tmp_path, suffix, at_least, size):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (15, 20, 3), np.uint8))
    path = tmp_path / f"large.{suffix}"
    small.resize((800, 600), Image.Resampling.BICUBIC).save(path, quality=95)
    image = load_image(path, at_least=at_least)
    assert image.size == size
    whole = load_image(path).resize((40, 30), Image.Resampling.BICUBIC)
    assert away(image.resize((40, 30), Image.Resampling.BICUBIC), whole) < 2


def test_a_portrait_by_its_tag_comes_as_small_as_it_is_needed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (800, 600), "teal").save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg", at_least=300).size == (300, 400)


def away(image, other):
    """Return the mean difference of two images in grey levels."""
    return np.abs(np.asarray(image, float) - np.asarray(other, float)).mean()


def test_rotation_is_counter_clockwise(tmp_path):
    red_left_green_right().save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png", rotation=90)
    # Turned counter-clockwise, the left edge lies at the bottom.
    assert image.size == (16, 32)
    assert image.getpixel((8, 30)) == RED
    assert image.getpixel((8, 1)) == GREEN
    assert load_image(tmp_path / "a.png", rotation=180).getpixel((30, 8)) == RED
    assert load_image(tmp_path / "a.png", rotation=270.0).getpixel((8, 1)) == RED


@pytest.mark.parametrize("unknown", [None, float("nan"), 0.0])
def test_unknown_rotation_leaves_the_image(tmp_path, unknown):
    red_left_green_right().save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", rotation=unknown).size == (32, 16)


def test_an_image_is_not_turned_twice(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    red_left_green_right().save(tmp_path / "a.jpg", exif=exif)
    image = load_image(tmp_path / "a.jpg", rotation=270)
    assert image.size == (16, 32)


def test_odd_rotation_is_refused(tmp_path):
    red_left_green_right().save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png.*45"):
        load_image(tmp_path / "a.png", rotation=45)


def test_one_pixel_image(tmp_path):
    Image.new("L", (1, 1), 7).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").getpixel((0, 0)) == (7, 7, 7)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.3, 0.8])
def test_truncated_image_is_named(tmp_path, suffix, kept):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format={"jpg": "JPEG", "png": "PNG"}[suffix])
    whole = buffer.getvalue()
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match=f"broken.{suffix}"):
        load_image(path)


def test_text_missing_file_and_folder_are_named(tmp_path):
    (tmp_path / "a.jpg").write_text("<html>404</html>")
    for name in ("a.jpg", "nowhere.jpg", "."):
        with pytest.raises(InputError, match=str(tmp_path)):
            load_image(tmp_path / name)


def test_postscript_is_not_run(tmp_path):
    (tmp_path / "a.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(InputError, match=r"a\.jpg"):
        load_image(tmp_path / "a.jpg")


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    Image.new("1", (300, 200)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: 300x200"):
        load_image(tmp_path / "a.png", max_pixels=59_999)
    assert load_image(tmp_path / "a.png", max_pixels=60_000).size == (300, 200)


@pytest.mark.parametrize("side", [10_000, 60_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb_is_refused(tmp_path, side):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))
    (tmp_path / "bomb.png").write_bytes(bomb + chunk(b"IEND", b""))
    with pytest.raises(InputError, match=r"bomb\.png.*allowed"):
        load_image(tmp_path / "bomb.png")

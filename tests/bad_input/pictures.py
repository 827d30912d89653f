"""Picture files of every kind, whole and damaged, as strategies."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from hypothesis import strategies as st
from PIL import Image

SIDES = st.sampled_from([1, 2, 3, 5, 7, 8, 13, 16, 31, 61, 97])
MODES = {  # which of Pillow's modes each format takes
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"),
    "GIF": ("1", "L", "P", "RGB"),
    "PPM": ("1", "L", "RGB", "I"),
    "BMP": ("1", "L", "P", "RGB"),
    "WEBP": ("RGB", "RGBA", "L"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    "EPS": ("RGB",),  # not read
    "ICO": ("RGBA",),
}
DTYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float16", "float32", "float64", "bool", "complex64")
FILLS = ("noise", "zero", "one", "top", "ramp", "nan", "inf", "negative")


def pixels(height: int, width: int, channels: int, dtype: str, fill: str, seed: int) -> np.ndarray:
    """(H, W, C) of a dtype."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    shape = (height, width, channels)
    top = np.iinfo(kind).max if kind.kind in "ui" else 1
    values = {
        "noise": lambda: rng.random(shape) * top,
        "zero": lambda: np.zeros(shape),
        "one": lambda: np.ones(shape),
        "top": lambda: np.full(shape, float(top)),
        "ramp": lambda: np.arange(np.prod(shape)).reshape(shape) % (int(top) + 1),
        "nan": lambda: np.where(rng.random(shape) < 0.2, np.nan, 0.5),
        "inf": lambda: np.full(shape, np.inf),
        "negative": lambda: -rng.random(shape) * top,
    }[fill]()
    if kind.kind in "uib":
        values = np.nan_to_num(values, nan=0, posinf=0).clip(0 if kind.kind in "ub" else -(2**31), top)
    return values.astype(kind)


def saved(image: Image.Image | np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    """The file that Pillow writes."""
    buffer = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(buffer, form, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """The file that tifffile writes."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def png16(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits, which Pillow writes in grey only: 1 to 4 channels (grey, grey and alpha, RGB, RGBA)."""
    height, width, channels = pixels.shape
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return png_of(width, height, zlib.compress(lines), 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels])


def pnm16(pixels: np.ndarray) -> bytes:
    """A portable pixmap (3 channels) or greymap (1) of 16 bits."""
    height, width, channels = pixels.shape
    return f"P{6 if channels == 3 else 5}\n{width} {height}\n65535\n".encode() + pixels.astype(">u2").tobytes()


@st.composite
def by_pillow(draw: st.DrawFn) -> bytes:
    form = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from(MODES[form]))
    size = draw(SIDES), draw(SIDES)
    fill = draw(st.sampled_from(FILLS))
    grey = pixels(*size, 1, "uint8", fill, draw(st.integers(0, 9)))[..., 0]
    if mode in ("I;16", "I", "F"):
        wide = grey.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
        image = Image.fromarray(wide * wide.dtype.type(draw(st.sampled_from([1, 7, 255]))))
    elif mode == "LAB":
        image = Image.merge("LAB", [Image.fromarray(grey)] * 3)
    else:
        image = Image.fromarray(grey).convert("LA" if mode == "LA" else "RGB").convert(mode)
    options: dict[str, Any] = {}
    if form in ("PNG", "JPEG", "TIFF", "WEBP") and draw(st.booleans()):
        exif = Image.Exif()
        exif[0x0112] = draw(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65535]))
        options["exif"] = exif
    if form in ("GIF", "TIFF", "WEBP") and draw(st.booleans()):
        options |= {"save_all": True, "append_images": [image.copy() for _ in range(draw(st.integers(1, 3)))]}
    return saved(image, form, **options)


@st.composite
def by_tifffile(draw: st.DrawFn) -> bytes:
    dtype = draw(st.sampled_from(DTYPES))
    channels = draw(st.sampled_from([1, 2, 3, 4, 5]))
    values = pixels(draw(SIDES), draw(SIDES), channels, dtype, draw(st.sampled_from(FILLS)), draw(st.integers(0, 9)))
    options: dict[str, Any] = {"photometric": "rgb" if channels in (3, 4) else "minisblack"}
    if draw(st.booleans()):
        options["compression"] = draw(st.sampled_from(["zlib", "lzma"]))
    if dtype != "bool" and draw(st.booleans()):
        options |= {"planarconfig": "separate"}
        values = np.moveaxis(values, 2, 0)
    elif channels == 1:
        values = values[..., 0]
    if draw(st.booleans()):
        options["tile"] = (16, 16)
    if draw(st.booleans()):
        options["extratags"] = [(274, "H", 1, draw(st.sampled_from([0, 1, 6, 8, 9])), True)]
    frames = draw(st.integers(1, 3))
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=draw(st.booleans()), byteorder=draw(st.sampled_from("<>"))) as file:
        for _ in range(frames):
            try:
                file.write(values, **options)
            except (ValueError, TypeError, NotImplementedError):  # no such TIFF
                file.write(np.zeros((3, 2), np.uint16), photometric="minisblack")
    return buffer.getvalue()


def damaged(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The content as it is, cut at any byte, with bytes flipped anywhere or at the beginning, or with bytes put in."""
    flips, early = (st.lists(st.tuples(st.floats(0, end), st.integers(0, 255)), min_size=1) for end in (0.9999, 0.05))
    return st.one_of(
        whole,
        st.builds(lambda c, share: c[: int(len(c) * share)], whole, st.floats(0, 1)),
        st.builds(_flipped, whole, flips | early),
        st.builds(_inserted, whole, st.floats(0, 1), RAW),
    )


def _inserted(content: bytes, where: float, more: bytes) -> bytes:
    at = int(len(content) * where)
    return content[:at] + more + content[at:]


def _flipped(content: bytes, places: list[tuple[float, int]]) -> bytes:
    changed = bytearray(content)
    for where, value in places if content else []:
        changed[int(where * len(changed))] = value
    return bytes(changed)


RAW = st.binary(max_size=64)
MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\x00", b"MM\x00*", b"II+\x00\x08\x00\x00\x00", b"GIF89a")
OTHERS = (b"P6\n", b"BM", b"RIFF\x20\x00\x00\x00WEBPVP8L", b"\xff\x4f\xff\x51", b"P5\n9 9\n70000\n", b"PK\x03\x04", b"")
garbage = st.builds(lambda signature, rest: signature + rest, st.sampled_from(MAGIC + OTHERS), st.binary(max_size=200))
deep = st.builds(pixels, SIDES, SIDES, st.sampled_from([1, 3]), st.just("uint16"), st.sampled_from(FILLS), st.just(0))
whole = st.one_of(by_pillow(), by_tifffile(), deep.map(png16), deep.map(pnm16))
contents = st.one_of(damaged(whole), garbage)


def png_of(width: int, height: int, packed: bytes = zlib.compress(bytes(100)), bits: int = 8, kind: int = 2) -> bytes:
    """A PNG of a colour type that declares a size and holds whatever it holds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff_of(
    width: int, height: int, bits: int = 8, samples: int = 1, strip: bytes = b"\0", compression: int = 1
) -> bytes:
    """A little-endian TIFF of one strip that declares a size and holds whatever it holds."""
    many = samples > 2
    more = struct.pack(f"<{samples}H", *[bits] * samples) if many else b""
    count = 10
    at = 8 + 2 + 12 * count + 4
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, samples, at if many else bits | bits << 16 if samples == 2 else bits),
        (259, 3, 1, compression),
        (262, 3, 1, 2 if samples >= 3 else 1),
        (273, 4, 1, at + len(more)),
        (277, 3, 1, samples),
        (278, 4, 1, height),
        (279, 4, 1, len(strip)),
        (284, 3, 1, 1),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", count) + entries + b"\0" * 4 + more + strip

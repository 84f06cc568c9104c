"""Makes the image fixtures of the tests with Pillow and torchvision themselves.

    pip install torch==2.11.0 torchvision==0.26.0 pillow==12.0.0
    python tests/numerics/make_image_fixtures.py tests/data

Writes, under the given folder,
  image_transform/cases.txt, bytes.bin   pixels before and after torchvision's crop, resize and flip
  image_transform/hashed.txt             boxes of images made by a formula, and the CRC of what they become
  image_transform/normalize.bin          ToTensor and Normalize of every byte, fp32 then bf16
  image_transform/crops.txt              how often RandomResizedCrop gave each top, left, height and width
  images/*.jpg, *.png, *.rgb             files, and what Image.open(...).convert("RGB") makes of them

Pillow 13 runs the vertical pass first where the height shrinks and the width does not, which moves a few bytes by one;
this project, like Pillow before it, runs the horizontal pass first always.
"""

import argparse
import pathlib
import struct
import zlib

import numpy as np
import PIL
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

BICUBIC = InterpolationMode.BICUBIC
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def picture(rng, height, width, channels):
    """Waves and noise, with pixels at both ends of the range so that the filter's overshoot is clipped."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for channel in range(channels):
        wave = 127 + 120 * np.sin(x * rng.uniform(0.05, 0.9) + channel) * np.cos(y * rng.uniform(0.05, 0.9))
        planes.append(wave + rng.normal(0, 40, (height, width)))
    pixels = np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)
    return pixels[:, :, 0] if channels == 1 else pixels


def train_case(image, box, size, flip):
    out = F.resized_crop(image, *box, [size, size], BICUBIC)
    return F.hflip(out) if flip else out


def eval_case(image, resize, size):
    return transforms.CenterCrop(size)(transforms.Resize(resize, interpolation=BICUBIC)(image))


class CaseWriter:
    """One line a case: name, the image's shape, the kind and its numbers, output size and where the bytes lie."""

    def __init__(self):
        self.lines, self.bytes = [], bytearray()

    def add(self, name, pixels, kind, numbers, size, out):
        height, width = pixels.shape[:2]
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        out = np.asarray(out)
        assert out.shape[:2] == (size, size), (name, out.shape)
        at = len(self.bytes)
        self.bytes += pixels.tobytes()
        out_at = len(self.bytes)
        self.bytes += out.tobytes()
        fields = [name, height, width, channels, kind, *numbers, size, at, out_at]
        self.lines.append(" ".join(str(field) for field in fields))


def write_cases(folder, rng):
    cases = CaseWriter()
    # name, height, width, channels, (top, left, height, width), size, flip
    train = [
        ("cifar_whole", 32, 32, 3, (0, 0, 32, 32), 224, 0),
        ("up_odd", 32, 32, 3, (3, 5, 21, 17), 45, 0),
        ("up_odd_flip", 32, 32, 3, (3, 5, 21, 17), 45, 1),
        ("up_left_top", 32, 32, 3, (0, 0, 15, 19), 56, 1),
        ("up_right_bottom", 32, 32, 3, (17, 13, 15, 19), 56, 0),
        ("down_odd", 97, 131, 3, (7, 11, 83, 101), 28, 0),
        ("down_far_flip", 150, 211, 3, (0, 0, 150, 211), 16, 1),
        ("down_and_up", 61, 23, 3, (1, 0, 60, 23), 33, 1),
        ("rows_only", 50, 40, 3, (5, 4, 41, 32), 32, 1),
        ("columns_only", 50, 40, 3, (9, 2, 32, 37), 32, 0),
        ("nothing", 40, 40, 3, (4, 8, 32, 32), 32, 0),
        ("nothing_flip", 40, 40, 3, (8, 0, 32, 32), 32, 1),
        ("one_pixel", 9, 9, 3, (4, 4, 1, 1), 17, 0),
        ("two_columns", 30, 9, 3, (0, 7, 30, 2), 40, 1),
        ("grey_up", 28, 28, 1, (2, 1, 19, 23), 64, 1),
        ("grey_same", 28, 28, 1, (0, 0, 28, 28), 28, 0),
        ("grey_down", 70, 90, 1, (10, 20, 55, 70), 31, 0),
    ]
    for name, height, width, channels, box, size, flip in train:
        pixels = picture(rng, height, width, channels)
        out = train_case(Image.fromarray(pixels), box, size, flip)
        cases.add(name, pixels, "train", [*box, flip], size, out)
    # name, height, width, channels, resize, size
    evaluation = [
        ("eval_square_up", 32, 32, 3, 56, 56),
        ("eval_wide_up", 32, 45, 3, 64, 64),
        ("eval_tall_down", 131, 97, 3, 48, 42),
        ("eval_wide_down", 90, 133, 3, 36, 31),
        ("eval_odd_margin", 60, 83, 3, 33, 28),
        ("eval_as_it_is", 40, 40, 3, 40, 35),
        ("eval_grey", 28, 28, 1, 32, 28),
    ]
    for name, height, width, channels, resize, size in evaluation:
        pixels = picture(rng, height, width, channels)
        cases.add(name, pixels, "eval", [resize], size, eval_case(Image.fromarray(pixels), resize, size))
    (folder / "cases.txt").write_text("\n".join(cases.lines) + "\n")
    (folder / "bytes.bin").write_bytes(bytes(cases.bytes))


def formula_image(height, width, channels):
    """Bytes that the test makes too: a hash of each one's index."""
    index = np.arange(height * width * channels, dtype=np.uint32)
    hashed = index * np.uint32(2654435761)
    hashed ^= hashed >> np.uint32(15)
    hashed *= np.uint32(2246822519)
    pixels = (hashed >> np.uint32(24)).astype(np.uint8).reshape(height, width, channels)
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)


def write_hashed(folder):
    # height, width, channels, (top, left, height, width), flip, size
    cases = [
        (1500, 2000, 3, (0, 0, 1500, 2000), 0, 224),
        (1500, 2000, 3, (211, 607, 1033, 1201), 1, 224),
        (500, 375, 3, (13, 2, 447, 371), 1, 224),
        (375, 500, 1, (0, 77, 375, 401), 0, 160),
        (3001, 11, 3, (0, 0, 3001, 11), 1, 37),
        (7, 4001, 3, (0, 0, 7, 4001), 0, 37),
        (64, 20000, 1, (0, 0, 64, 20000), 1, 33),
        (32, 32, 3, (5, 6, 27, 26), 1, 224),
        (32, 32, 3, (0, 0, 32, 32), 0, 384),
    ]
    lines = []
    for height, width, channels, box, flip, size in cases:
        out = train_case(formula_image(height, width, channels), box, size, flip).convert("RGB")
        lines.append(" ".join(map(str, (height, width, channels, *box, flip, size, zlib.crc32(out.tobytes())))))
    (folder / "hashed.txt").write_text("\n".join(lines) + "\n")


def write_normalize(folder):
    pixels = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    out = transforms.Normalize(CIFAR_MEAN, CIFAR_STD)(transforms.ToTensor()(Image.fromarray(pixels)))
    out = out.reshape(3, 256).contiguous()
    half = out.to(torch.bfloat16).view(torch.int16)
    (folder / "normalize.bin").write_bytes(out.numpy().tobytes() + half.numpy().tobytes())


def write_crops(folder, draws=100_000):
    """Lines: height width smallest_area draws, then four lines of counts of top, left, height and width from 0 on."""
    torch.manual_seed(7)
    lines = []
    for height, width, area in [(32, 32, 0.2), (28, 28, 0.2), (60, 95, 0.08), (20, 90, 0.2), (90, 20, 0.08)]:
        image = Image.new("L", (width, height))
        counts = [np.zeros(limit, np.int64) for limit in (height, width, height + 1, width + 1)]
        for _ in range(draws):
            box = transforms.RandomResizedCrop.get_params(image, [area, 1.0], [3 / 4, 4 / 3])
            for count, value in zip(counts, box):
                count[value] += 1
        lines.append(f"{height} {width} {area} {draws}")
        lines += [" ".join(map(str, count)) for count in counts]
    (folder / "crops.txt").write_text("\n".join(lines) + "\n")


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, color, rows, extra=b""):
    """A PNG of a kind that Pillow does not write: 16 bits a colour sample, or fewer than 8 a grey one."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def write_images(folder, rng):
    color = Image.fromarray(picture(rng, 23, 37, 3))
    grey = Image.fromarray(picture(rng, 23, 37, 1))
    alpha = Image.fromarray(picture(rng, 23, 37, 1))
    color.save(folder / "color_420.jpg", quality=85, subsampling="4:2:0")
    color.save(folder / "color_422.jpg", quality=70, subsampling="4:2:2")
    color.save(folder / "color_444_progressive.jpg", quality=90, subsampling="4:4:4", progressive=True)
    color.convert("CMYK").save(folder / "cmyk.jpg", quality=85)
    grey.save(folder / "grey.jpg", quality=80)

    color.save(folder / "color.png")
    grey.save(folder / "grey.png")
    Image.merge("RGBA", (*color.split(), alpha)).save(folder / "color_alpha.png")
    Image.merge("LA", (grey, alpha)).save(folder / "grey_alpha.png")
    palette = color.quantize(200)
    palette.save(folder / "palette.png")
    palette.save(folder / "palette_transparent.png", transparency=bytes(range(200)))
    color.quantize(11).save(folder / "palette_4bit.png", bits=4)
    grey.convert("1").save(folder / "grey_1bit.png")
    color.save(folder / "color_transparent.png", transparency=(1, 2, 3))

    wide = rng.integers(0, 65536, (9, 13, 4), dtype=np.uint16)
    big_endian = wide.astype(">u2")
    for name, color_type, channels in [("grey_16bit", 0, 1), ("color_16bit", 2, 3), ("grey_alpha_16bit", 4, 2),
                                       ("color_alpha_16bit", 6, 4)]:
        pixels = big_endian[:, :, :channels].copy()
        if name == "grey_16bit":
            pixels[::2] //= 200  # Pillow cuts 16-bit grey off at 255 instead of scaling it: have some below
        (folder / f"{name}.png").write_bytes(png(13, 9, 16, color_type, [row.tobytes() for row in pixels]))
    nibbles = [bytes(rng.integers(0, 256, 7, dtype=np.uint8)) for _ in range(9)]
    (folder / "grey_4bit.png").write_bytes(png(13, 9, 4, 0, nibbles))
    pairs = [bytes(rng.integers(0, 256, 4, dtype=np.uint8)) for _ in range(9)]
    (folder / "grey_2bit.png").write_bytes(png(13, 9, 2, 0, pairs))

    for path in sorted(folder.iterdir()):
        if path.suffix in (".jpg", ".png"):
            rgb = np.asarray(Image.open(path).convert("RGB"))
            path.with_name(path.name + ".rgb").write_bytes(struct.pack("<ii", *rgb.shape[:2]) + rgb.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="the tests' data folder")
    folder = parser.parse_args().folder
    assert int(PIL.__version__.split(".")[0]) < 13, "Pillow 13 orders its passes otherwise"
    rng = np.random.default_rng(20240607)
    for name in ("image_transform", "images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_cases(folder / "image_transform", rng)
    write_hashed(folder / "image_transform")
    write_normalize(folder / "image_transform")
    write_crops(folder / "image_transform")
    write_images(folder / "images", rng)


if __name__ == "__main__":
    main()

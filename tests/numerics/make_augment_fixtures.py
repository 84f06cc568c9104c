"""Makes the augmentation fixtures of the tests with timm, torchvision and Pillow themselves.

    pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 pillow==12.0.0
    python tests/numerics/make_augment_fixtures.py tests/data

Writes, under the given folder's augment/,
  ops.txt             timm's ops at magnitudes: the argument that timm gives Pillow, and the CRC of what Pillow makes
  jitter.txt          torchvision's ColorJitter with its choices pinned: order, factors, and the CRC
  choices.txt         how often policies and RandAugment applied each op, and with what arguments
  erasing.txt         how often RandomErasing chose each count, top, left, height and width
  mixing.txt          how often Mixup drew each lambda and box
  mixup.safetensors   batches before and after Mixup, with their soft targets, loss and gradient

Pictures are made by formulas that the tests repeat. Random choices are counted, since this project draws them otherwise.
"""

import argparse
import pathlib
import random
import re
import zlib

import numpy as np
import PIL
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import auto_augment as aa
from timm.data import mixup as mx
from timm.data.random_erasing import RandomErasing
from timm.data.transforms_factory import transforms_imagenet_train
from timm.loss import SoftTargetCrossEntropy
from torchvision import transforms

MEAN = (0.4914, 0.4822, 0.4465)
BINS = 32


def picture(kind, side):
    """side x side x 3 bytes by a formula: noise, waves over the whole range or a part of it, or one colour."""
    y, x, c = np.mgrid[0:side, 0:side, 0:3].astype(np.uint32)
    if kind == "flat":
        return np.full((side, side, 3), (77, 0, 255), np.uint8)
    if kind == "noise":
        hashed = (((c * np.uint32(side) + y) * np.uint32(side) + x) * np.uint32(2654435761)).astype(np.uint32)
        hashed ^= hashed >> np.uint32(15)
        hashed *= np.uint32(2246822519)
        return (hashed >> np.uint32(24)).astype(np.uint8)
    turn = (x * (2 + c) + y * (5 - c) + x * y // 37) % 510
    wave = np.where(turn <= 255, turn, 510 - turn)
    return (60 + wave * 120 // 255 if kind == "dim" else wave).astype(np.uint8)


def crc(image):
    """Of the channel planes."""
    return zlib.crc32(np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).tobytes())


def hparams(side):
    """What timm's transforms_imagenet_train gives its ops, with bicubic interpolation as the reference pipeline has."""
    params = dict(translate_const=int(side * 0.45), img_mean=tuple(min(255, round(255 * x)) for x in MEAN))
    params["interpolation"] = Image.Resampling.BICUBIC
    return params


def argument_of(name, args, side):
    if not args:
        return 0.0
    if name.startswith("Translate"):
        return float(args[0] * side)
    if name == "Desaturate":
        return min(1.0, max(0.0, 1.0 - args[0]))
    return float(args[0])


def write_ops(folder):
    lines = []
    names = [name for name in aa.NAME_TO_OP if name not in ("TranslateX", "TranslateY", "GaussianBlurRand")]
    sizes = [("noise", 224, (0, 3.7, 9)), ("wave", 224, (9, 10)), ("dim", 61, (0.4, 2, 5, 7.3, 10, 17)),
             ("wave", 5, (9, 28)), ("noise", 32, (6, 30)), ("noise", 3, (8,)), ("noise", 2, (8,)), ("noise", 1, (8,)),
             ("flat", 33, (0, 6))]
    for kind, side, magnitudes in sizes:
        image = Image.fromarray(picture(kind, side))
        for name in names:
            for magnitude in magnitudes:
                results = {}
                for sign in (1, -1):
                    aa._randomly_negate = lambda value, sign=sign: sign * value
                    op = aa.AugmentOp(name, 1.0, magnitude, {**hparams(side), "magnitude_max": 30})
                    args = op.level_fn(magnitude, op.hparams) if op.level_fn else ()
                    results[argument_of(name, args, side)] = crc(op(image))
                for argument, checksum in results.items():
                    lines.append(f"{name} {magnitude} {argument!r} {kind} {side} {checksum}")
    (folder / "ops.txt").write_text("\n".join(lines) + "\n")


def write_jitter(folder):
    lines = []
    for kind, side, order, factors in [("wave", 64, (0, 1, 2), (1.4, 0.7, 1.31)), ("noise", 50, (2, 0, 1), (0.6, 1.4, 0.8)),
                                       ("dim", 33, (1, 2, 0), (1.2, 0.61, 2.5)), ("wave", 47, (2, 1, 0), (0.0, 1.0, 3.0))]:
        jitter = transforms.ColorJitter(3, 3, 3)
        jitter.get_params = lambda *_, order=order, factors=factors: (list(order), *factors, None)
        out = jitter(Image.fromarray(picture(kind, side)))
        names = ("Brightness", "Contrast", "Color")
        steps = " ".join(f"{names[i]} {factors[i]}" for i in order)
        lines.append(f"{kind} {side} {steps} {crc(out)}")
    (folder / "jitter.txt").write_text("\n".join(lines) + "\n")


def histogram(values, low, high, bins=BINS):
    return np.histogram(np.asarray(values, float), bins=bins, range=(low, high))[0]


def row(values):
    return " ".join(str(int(value)) for value in values)


def plain(name):
    """The op of Pillow's that timm calls by several names."""
    return "Color" if name == "Desaturate" else re.sub("(Increasing|Original|Rand)$", "", name)


def write_choices(folder, draws=20000, side=100):
    """A head of config, draws and ops; how many ops an image got; then a histogram of each op's arguments."""
    lines = []
    image = Image.new("RGB", (side, side))
    for config in ["rand-m9-mstd0.5-inc1", "rand-m5-n3-p0.7", "rand-m8-mstd101-mmax20-w0-inc1", "rand-m7-n2-tweights",
                   "rand-m6-n4-mstd2-t3aw", "rand-m4-n1-p1-t3a", "original", "originalr", "v0-mstd1", "v0r", "3a"]:
        text = config.replace("-w0-inc1", "-tweights")  # timm's old name of the weights
        transform = transforms_imagenet_train(side, auto_augment=text, interpolation="bicubic", mean=MEAN)
        augment = next(t for t in transform.transforms if isinstance(t, (aa.RandAugment, aa.AutoAugment)))
        seen = []
        ops = augment.ops if isinstance(augment, aa.RandAugment) else [op for pair in augment.policy for op in pair]
        for op in ops:
            def record(img, *args, name=op.name, **_):
                if name == "GaussianBlurRand":
                    args = (random.uniform(0.1, 2.0 * args[0]),)  # as its op draws the radius
                seen.append((plain(name), argument_of(name, args, side)))
                return img
            op.aug_fn = record
        counts = np.zeros(6, int)
        arguments = {plain(op.name): [] for op in ops}
        for _ in range(draws):
            seen.clear()
            augment(image)
            counts[len(seen)] += 1
            for name, argument in seen:
                arguments[name].append(argument)
        lines += [f"{config} {draws} {len(arguments)}", row(counts)]
        for name in sorted(arguments):
            low, high = min(arguments[name], default=0), max(arguments[name], default=0)
            low, high = low - 1e-3 * abs(low) - 1e-9, high + 1e-3 * abs(high) + 1e-9
            lines.append(f"{name} {low!r} {high!r} {row(histogram(arguments[name], low, high))}")
    (folder / "choices.txt").write_text("\n".join(lines) + "\n")


class Recorder:
    """Takes an image's place where RandomErasing writes to it."""

    def __init__(self):
        self.boxes = []

    def __setitem__(self, where, _):
        _, rows, columns = where
        self.boxes.append((rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start))


def write_erasing(folder, draws=20000):
    lines = []
    for side, probability, count in [(32, 0.25, 1), (64, 0.9, 3), (17, 1.0, 1)]:
        erasing = RandomErasing(probability, max_count=count, mode="const", device="cpu")
        boxes, counts = [], np.zeros(count + 1, int)
        for _ in range(draws):
            recorder = Recorder()
            erasing._erase(recorder, 3, side, side, torch.float32)
            counts[len(recorder.boxes)] += 1
            boxes += recorder.boxes
        lines += [f"{side} {probability} {count} {draws}", row(counts)]
        lines += [row(np.bincount([box[i] for box in boxes], minlength=side)) for i in range(4)]
    (folder / "erasing.txt").write_text("\n".join(lines) + "\n")


def write_mixing(folder, draws=20000, side=40):
    lines = []
    for mixup, cutmix, minmax, prob, switch in [(0.2, 0, None, 1.0, 0.5), (0.8, 0, None, 0.7, 0.5), (1.0, 0, None, 1.0, 0.5),
                                                (5.0, 0, None, 1.0, 0.5), (0, 1.0, None, 1.0, 0.5), (0, 0.3, None, 0.9, 0.5),
                                                (0.8, 1.0, None, 1.0, 0.3), (0, 0, (0.2, 0.8), 1.0, 0.5)]:
        mix = mx.Mixup(mixup, cutmix, minmax, prob, switch, "batch", True, 0.1, 10)
        found = {"lambda": [], "top": [], "left": [], "height": [], "width": []}
        cuts = 0
        for _ in range(draws):
            lam, use_cutmix = mix._params_per_batch()
            if use_cutmix and lam != 1.0:
                (top, bottom, left, right), lam = mx.cutmix_bbox_and_lam((3, side, side), lam, minmax)
                if bottom > top and right > left:
                    cuts += 1
                    for name, value in [("top", top), ("left", left), ("height", bottom - top), ("width", right - left)]:
                        found[name].append(value)
            found["lambda"].append(lam)
        low, high = minmax or (0, 0)
        lines.append(f"{mixup} {cutmix} {low} {high} {prob} {switch} {side} {draws} {cuts}")
        lines.append(row(histogram(found["lambda"], 0, 1 + 1e-9)))
        lines += [row(np.bincount(np.asarray(found[name], int), minlength=side + 1)) for name in list(found)[1:]]
    (folder / "mixing.txt").write_text("\n".join(lines) + "\n")


def mixup_case(name, images, classes, side, mode, mixup, cutmix, minmax, smoothing):
    """One batch: what timm did to each image is found by recording its draws."""
    mix = mx.Mixup(mixup, cutmix, minmax, 1.0, 0.5, mode, True, smoothing, classes)
    x = torch.randn(images, 3, side, side)
    labels = torch.randint(0, classes, (images,))
    labels[0] = labels[-1]  # one pair of one class
    boxes, params = [], []
    real_box, real_batch, real_elem = mx.cutmix_bbox_and_lam, mix._params_per_batch, mix._params_per_elem

    def record_box(*args, **kwargs):
        box, lam = real_box(*args, **kwargs)
        boxes.append((box, lam))
        return box, lam

    def record_batch():
        params.append(real_batch())
        return params[-1]

    def record_elem(size):
        lam, use = real_elem(size)
        params.append((lam.copy(), use.copy()))
        return lam, use

    mx.cutmix_bbox_and_lam, mix._params_per_batch, mix._params_per_elem = record_box, record_batch, record_elem
    y, target = mix(x.clone(), labels)
    mx.cutmix_bbox_and_lam = real_box

    lam, use = params[0]
    own, other, share = np.ones(images, np.float32), np.zeros(images, np.float32), np.ones(images, np.float32)
    box = np.zeros((images, 4), np.int64)
    if mode == "batch":
        lam, use = np.full(images, lam), np.full(images, use)
        boxes *= images
    elif mode == "pair":
        lam, use = np.concatenate((lam, lam[::-1])), np.concatenate((use, use[::-1]))
        boxes += boxes[::-1]
    queue = iter(boxes)
    for i in range(images):
        if lam[i] == 1:
            continue
        if use[i]:
            (top, bottom, left, right), share[i] = next(queue)
            box[i] = (top, left, bottom - top, right - left)
        else:
            own[i], other[i], share[i] = lam[i], 1 - lam[i], lam[i]
    logits = torch.randn(images, classes).mul_(3).requires_grad_()
    loss = SoftTargetCrossEntropy()(logits, target)
    loss.backward()
    tensors = dict(before=x, after=y, own=torch.tensor(own), other=torch.tensor(other), box=torch.tensor(box),
                   labels=labels, shares=torch.tensor(share), logits=logits.detach(), loss=loss.detach().view(1),
                   dlogits=logits.grad, smoothing=torch.tensor([smoothing]))
    return {f"{name}.{key}": value.contiguous() for key, value in tensors.items()}


def write_mixup(folder):
    tensors = {}
    for name, mode, mixup, cutmix, minmax, smoothing in [
            ("batch_mixup", "batch", 0.8, 0, None, 0.1), ("batch_cutmix", "batch", 0, 1.0, None, 0.0),
            ("batch_minmax", "batch", 0, 0, (0.2, 0.8), 0.1), ("pair_both", "pair", 0.8, 1.0, None, 0.1),
            ("elem_both", "elem", 0.8, 1.0, None, 0.1), ("elem_mixup", "elem", 0.2, 0, None, 0.0),
            ("elem_minmax", "elem", 0.8, 0, (0.3, 0.9), 0.2)]:
        tensors |= mixup_case(name, 8, 7, 9, mode, mixup, cutmix, minmax, smoothing)
    save_file(tensors, folder / "mixup.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="the tests' data folder")
    folder = parser.parse_args().folder / "augment"
    assert PIL.__version__ == "12.0.0" and timm.__version__ == "1.0.31", (PIL.__version__, timm.__version__)
    folder.mkdir(parents=True, exist_ok=True)
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    write_choices(folder)
    write_erasing(folder)
    write_mixing(folder)
    write_mixup(folder)
    write_jitter(folder)
    write_ops(folder)  # last: it takes the chance out of timm's signs


if __name__ == "__main__":
    main()

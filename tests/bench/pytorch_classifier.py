#!/usr/bin/env python3
"""The same training in PyTorch and transformers, to lay Tessera's loss beside: Qwen3 as an image classifier on CIFAR-100.

Model, initial weights (from a consolidated checkpoint), augmentation, schedule, optimizer and precision (bf16 parameters,
fp32 masters) are Tessera's; the order of the images and the crops are PyTorch's own random ones. One GPU. Writes one JSON
object a step and an epoch, with the keys of steps.jsonl and log.txt.

    pytorch_classifier.py --weights init.safetensors --config config.json --data_path cifar-100-binary --output_dir DIR
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from transformers import Qwen3Config, Qwen3Model

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # of CIFAR, as Tessera has it


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--data_path", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--input_size", type=int, default=224)
    parser.add_argument("--patch_size", type=int, default=16)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--max_steps", type=int, default=0)
    parser.add_argument("--warmup_epochs", type=float, default=0.2)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--min_lr", type=float, default=1e-6)
    parser.add_argument("--weight_decay", type=float, default=0.05)
    parser.add_argument("--clip_grad", type=float, default=1.0)
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


class Classifier(nn.Module):
    def __init__(self, config, patch_size, num_classes):
        super().__init__()
        self.qwen = Qwen3Model(config)
        self.qwen.embed_tokens = None
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, config.hidden_size, patch_size, patch_size)
        self.classifier = nn.Linear(config.hidden_size, num_classes)

    def forward(self, images):
        tokens = self.patch_embed.proj(images).flatten(2).transpose(1, 2)
        hidden = self.qwen(inputs_embeds=tokens, use_cache=False).last_hidden_state[:, -1]
        return F.linear(hidden.float(), self.classifier.weight.float(), self.classifier.bias.float())


def load(path):
    raw = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8).view(-1, 3074)
    return raw[:, 2:].reshape(-1, 3, 32, 32).cuda(), raw[:, 1].long().cuda()


def resize(crops, size):
    """Bicubic with antialiasing: Pillow's filter."""
    return F.interpolate(crops.float(), (size, size), mode="bicubic", antialias=True)


def normalise(pixels):
    """Whole pixel values, as Pillow rounds them, then the mean and deviation."""
    mean, std = (torch.tensor(v, device=pixels.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((pixels.round().clamp(0, 255) / 255 - mean) / std).bfloat16()


def random_crop(side):
    """RandomResizedCrop's box: scale 0.2 to 1, ratio 3/4 to 4/3."""
    for _ in range(10):
        area = side * side * (0.2 + 0.8 * torch.rand(()).item())
        ratio = math.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * torch.rand(()).item())
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= side and 0 < height <= side:
            top, left = (torch.randint(0, side - extent + 1, ()).item() for extent in (height, width))
            return top, left, height, width
    return 0, 0, side, side


def augment(images, size):
    crops = []
    for image in images:
        top, left, height, width = random_crop(image.shape[-1])
        crop = image[None, :, top:top + height, left:left + width]
        crops.append(crop.flip(-1) if torch.rand(()).item() < 0.5 else crop)
    return normalise(torch.cat([resize(crop, size) for crop in crops]))


def evaluate(model, images, labels, args):
    """Percent whose label comes first; whole images, resized."""
    right = 0
    with torch.no_grad():
        for batch, label in zip(images.split(args.batch_size), labels.split(args.batch_size)):
            right += (model(normalise(resize(batch, args.input_size))).argmax(1) == label).sum().item()
    return 100 * right / len(labels)


def learning_rate(step, warmup, total, args):
    if step < warmup:
        return args.lr * step / warmup
    return args.min_lr + (args.lr - args.min_lr) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def main():
    args = parse()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = Qwen3Config(**{**json.loads(Path(args.config).read_text()), "vocab_size": 8})
    config._attn_implementation = "sdpa"
    images, labels = load(args.data_path / "train.bin")
    test_images, test_labels = load(args.data_path / "test.bin")
    model = Classifier(config, args.patch_size, 100)
    model.load_state_dict(load_file(args.weights), strict=True)
    model = model.to("cuda", torch.bfloat16)
    model.qwen.rotary_emb = type(model.qwen.rotary_emb)(config=config, device="cuda")
    if args.compile:
        for layer in model.qwen.layers:
            layer.compile()
    weights = list(model.parameters())
    masters = [weight.detach().float().clone() for weight in weights]
    groups = [{"params": [m for m in masters if (m.dim() > 1) == decays], "weight_decay": args.weight_decay if decays else 0}
              for decays in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95), fused=True)
    per_epoch = len(labels) // args.batch_size
    total, warmup = per_epoch * args.epochs, round(per_epoch * args.warmup_epochs)
    steps, log = open(args.output_dir / "steps.jsonl", "w"), open(args.output_dir / "log.txt", "w")
    step = 0
    for epoch in range(args.epochs):
        started = time.perf_counter()
        order = torch.randperm(len(labels), device="cuda")
        for chosen in order[:per_epoch * args.batch_size].split(args.batch_size):
            begun = time.perf_counter()
            rate = learning_rate(step, warmup, total, args)
            for group in optimizer.param_groups:
                group["lr"] = rate
            logits = model(augment(images[chosen], args.input_size))
            loss = F.cross_entropy(logits, labels[chosen], label_smoothing=args.smoothing)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(weights, args.clip_grad)
            for master, weight in zip(masters, weights):
                master.grad, weight.grad = weight.grad.float(), None
            optimizer.step()
            with torch.no_grad():
                torch._foreach_copy_(weights, masters)
            for master in masters:
                master.grad = None
            record = {"step": step, "epoch": epoch, "loss": loss.item(), "lr": rate, "grad_norm": norm.item(),
                      "seconds": time.perf_counter() - begun}
            print(json.dumps(record), file=steps, flush=True)
            step += 1
            if step == args.max_steps:
                return
        seconds = time.perf_counter() - started
        record = {"epoch": epoch, "test_acc1": evaluate(model, test_images, test_labels, args), "seconds": seconds,
                  "peak_bytes": torch.cuda.max_memory_allocated()}
        print(json.dumps(record), file=log, flush=True)
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()

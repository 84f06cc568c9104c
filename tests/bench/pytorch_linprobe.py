#!/usr/bin/env python3
"""The same linear probe in PyTorch and transformers, to lay Tessera's accuracy beside: a frozen Qwen3 of a consolidated
checkpoint, BatchNorm without affine parameters, a linear head in fp32, LARS; the recipe of MAE's main_linprobe.py.

Augmentation and schedule are Tessera's; the order of the images, the crops and the head's first weights are PyTorch's own
random ones. One GPU. Writes one JSON object a step and an epoch, with the keys of steps.jsonl and log.txt.

    pytorch_linprobe.py --weights model.safetensors --config config.json --data_path cifar-100-binary --output_dir DIR
"""

import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from pytorch_classifier import Classifier, augment, evaluate, learning_rate, load, parse
from safetensors.torch import load_file
from torch import nn
from transformers import Qwen3Config


class Lars(torch.optim.Optimizer):
    """You, Gitman and Ginsburg 2017, in the order of MAE's util/lars.py; without weight decay, as its probe has it."""

    def __init__(self, params, lr=0.0, momentum=0.9, trust_coefficient=0.001):
        super().__init__(params, {"lr": lr, "momentum": momentum, "trust_coefficient": trust_coefficient})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                change = p.grad
                if p.ndim > 1:
                    p_norm, change_norm = torch.norm(p), torch.norm(change)
                    ratio = group["trust_coefficient"] * p_norm / change_norm
                    change = change * torch.where((p_norm > 0) & (change_norm > 0), ratio, 1.0)
                moment = self.state[p].setdefault("mu", torch.zeros_like(p))
                moment.mul_(group["momentum"]).add_(change)
                p.add_(moment, alpha=-group["lr"])


class Probe(nn.Module):
    def __init__(self, backbone, num_features, num_classes):
        super().__init__()
        self.backbone = backbone
        self.norm = nn.BatchNorm1d(num_features, affine=False, eps=1e-6)
        self.head = nn.Linear(num_features, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, images):
        with torch.no_grad():
            tokens = self.backbone.patch_embed.proj(images).flatten(2).transpose(1, 2)
            features = self.backbone.qwen(inputs_embeds=tokens, use_cache=False).last_hidden_state[:, -1]
        return self.head(self.norm(features.float()))


def load_backbone(args):
    config = Qwen3Config(**{**json.loads(Path(args.config).read_text()), "vocab_size": 8})
    config._attn_implementation = "sdpa"
    model = Classifier(config, args.patch_size, 100)
    model.load_state_dict(load_file(args.weights), strict=True)
    model = model.to("cuda", torch.bfloat16).requires_grad_(False)
    model.qwen.rotary_emb = type(model.qwen.rotary_emb)(config=config, device="cuda")
    return model, config.hidden_size


def main():
    args = parse()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    images, labels = load(args.data_path / "train.bin")
    test_images, test_labels = load(args.data_path / "test.bin")
    backbone, num_features = load_backbone(args)
    probe = Probe(backbone, num_features, 100).cuda()
    optimizer = Lars([probe.head.weight, probe.head.bias])
    per_epoch = len(labels) // args.batch_size
    total, warmup = per_epoch * args.epochs, round(per_epoch * args.warmup_epochs)
    steps, log = open(args.output_dir / "steps.jsonl", "w"), open(args.output_dir / "log.txt", "w")
    step = 0
    for epoch in range(args.epochs):
        started = time.perf_counter()
        probe.train()
        order = torch.randperm(len(labels), device="cuda")
        for chosen in order[:per_epoch * args.batch_size].split(args.batch_size):
            begun = time.perf_counter()
            optimizer.param_groups[0]["lr"] = rate = learning_rate(step, warmup, total, args)
            loss = F.cross_entropy(probe(augment(images[chosen], args.input_size)), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            record = {"step": step, "epoch": epoch, "loss": loss.item(), "lr": rate,
                      "seconds": time.perf_counter() - begun}
            print(json.dumps(record), file=steps, flush=True)
            step += 1
        seconds = time.perf_counter() - started
        probe.eval()
        record = {"epoch": epoch, "test_acc1": evaluate(probe, test_images, test_labels, args), "seconds": seconds,
                  "peak_bytes": torch.cuda.max_memory_allocated()}
        print(json.dumps(record), file=log, flush=True)
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()

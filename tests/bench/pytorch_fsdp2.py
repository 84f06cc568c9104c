#!/usr/bin/env python3
"""step_bench's job in PyTorch, to lay Tessera's speed and memory beside: Qwen3 as an image classifier on random images of
224 x 224 pixels, a training step of FSDP2 (each block and the rest sharded, parameters kept after forward, as ZeRO-2 keeps
them) or of DDP (bf16 parameters, fp32 masters on every rank).

bf16 parameters and reduction, fp32 optimizer, fused AdamW, clipping to the norm 1. Needs torch and transformers.

    python3 -m torch.distributed.run --nproc_per_node 4 pytorch_fsdp2.py --model_config qwen3-8b --batch_size 32 --compile

One JSON object on stdout, with step_bench's keys.
"""

import argparse
import json
import os
import statistics
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import Qwen3Config, Qwen3Model

# Hidden and intermediate size, blocks, query heads, key heads: as in the models' config.json.
SHAPES = {
    "qwen3-0.6b": (1024, 3072, 28, 16, 8),
    "qwen3-1.7b": (2048, 6144, 28, 16, 8),
    "qwen3-4b": (2560, 9728, 36, 32, 8),
    "qwen3-8b": (4096, 12288, 36, 32, 8),
    "qwen3-14b": (5120, 17408, 40, 40, 8),
}
WARM_UP = 5


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_config", choices=SHAPES, default="qwen3-8b")
    parser.add_argument("--batch_size", type=int, default=32, help="images per GPU")
    parser.add_argument("--max_steps", type=int, default=20)
    parser.add_argument("--ddp", action="store_true", help="every rank keeps everything")
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile of each block")
    return parser.parse_args()


class Classifier(nn.Module):
    def __init__(self, shape):
        super().__init__()
        hidden, intermediate, blocks, query_heads, key_heads = shape
        self.config = Qwen3Config(hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=blocks,
                                  num_attention_heads=query_heads, num_key_value_heads=key_heads, head_dim=128, vocab_size=8,
                                  max_position_embeddings=40960, rope_theta=1e6, use_cache=False, attn_implementation="sdpa")
        self.qwen = Qwen3Model(self.config)
        self.qwen.embed_tokens = None
        self.proj = nn.Conv2d(3, hidden, 16, 16)
        self.classifier = nn.Linear(hidden, 100)

    def forward(self, images, labels):
        tokens = self.proj(images).flatten(2).transpose(1, 2)
        hidden = self.qwen(inputs_embeds=tokens, use_cache=False).last_hidden_state
        return F.cross_entropy(self.classifier(hidden[:, -1]).float(), labels)

    @torch.no_grad()
    def initialise(self, device):
        self.to_empty(device=device)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.02)
            else:
                parameter.fill_(0 if name.endswith("bias") else 1)
        self.qwen.rotary_emb = type(self.qwen.rotary_emb)(config=self.config, device=device)


def fsdp2_step(model, device):
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.bfloat16)
    for block in model.qwen.layers:
        fully_shard(block, mp_policy=policy, reshard_after_forward=False)
    fully_shard(model, mp_policy=policy, reshard_after_forward=False)
    model.initialise(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True)

    def step(images, labels):
        model(images, labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def ddp_step(model, device):
    model.initialise(device)
    replica = nn.parallel.DistributedDataParallel(model, device_ids=[device.index], gradient_as_bucket_view=True)
    weights = list(model.parameters())
    masters = [weight.detach().float().clone() for weight in weights]
    optimizer = torch.optim.AdamW(masters, lr=1e-4, weight_decay=0.05, fused=True)

    def step(images, labels):
        replica(images, labels).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for master, weight in zip(masters, weights):
            master.grad = weight.grad.float()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(weights, masters)
        for master in masters:
            master.grad = None
        replica.zero_grad(set_to_none=False)

    return step


def main():
    args = parse()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", device_id=device)
    torch.manual_seed(0)
    with torch.device("meta"):
        model = Classifier(SHAPES[args.model_config]).to(torch.bfloat16 if args.ddp else torch.float32)
    model.train()
    if args.gradient_checkpointing:
        model.qwen.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if args.compile:
        for block in model.qwen.layers:
            block.compile()
    step = (ddp_step if args.ddp else fsdp2_step)(model, device)
    images = torch.randn(args.batch_size, 3, 224, 224, device=device, dtype=torch.bfloat16)
    labels = torch.randint(0, 100, (args.batch_size,), device=device)
    times = []
    for _ in range(WARM_UP + args.max_steps):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        step(images, labels)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    if dist.get_rank() == 0:
        seconds = statistics.median(times[WARM_UP:])
        world = dist.get_world_size()
        print(json.dumps({"world": world, "step_ms": 1e3 * seconds,
                          "tokens_per_s": args.batch_size * world * 196 / seconds,
                          "peak_bytes": torch.cuda.max_memory_allocated()}), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

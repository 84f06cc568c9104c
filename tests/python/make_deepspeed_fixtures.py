"""Writes tests/data/deepspeed: checkpoints of the reference pipeline's model that DeepSpeed itself trained and saved.

    python tests/python/make_deepspeed_fixtures.py [DIRECTORY]

Needs torch, transformers, safetensors and deepspeed (all on PyPI; no GPU); the files are committed. Made with torch 2.11,
transformers 5.23 and DeepSpeed 0.19.8.

DIRECTORY/CASE/checkpoint-0/ is what DeepSpeedEngine.save_checkpoint leaves, less the two recovery scripts. CASE.safetensors
is what DeepSpeed says of the same state through its own interface (safe_get_full_fp32_param and
safe_get_full_optimizer_state, which gather over the ranks): NAME/{weight,master,exp_avg,exp_avg_sq} of every parameter.
ddp.pth is a file as the pipeline saves it without DeepSpeed. model.json is the backbone's configuration.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["DS_ACCELERATOR"] = "cpu"

import deepspeed
import torch
from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state
from safetensors.torch import save_file
from torch.nn import functional
from transformers import Qwen3Config, Qwen3Model

OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "deepspeed"
SHAPE = dict(hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=4,
             vocab_size=11, max_position_embeddings=64, rms_norm_eps=1e-6, initializer_range=0.05)
INPUT, PATCH, CLASSES, MICRO_BATCH, ACCUM, STEPS = 28, 4, 10, 2, 2, 3

CASES = {
    # As the reference pipeline runs: one group of parameters, torch's AdamW.
    "zero2": dict(world=2, zero=dict(stage=2, contiguous_gradients=True, overlap_comm=True, reduce_scatter=True)),
    # Decay and no decay in two groups, over ranks that do not divide them.
    "zero1_groups": dict(world=3, zero=dict(stage=1), groups=True),
    # Parameters dealt out in turn, each at a multiple of 16 bytes, and states without padding.
    "zero2_round_robin": dict(world=2, zero=dict(stage=2, round_robin_gradients=True, parameter_alignment=True, elastic_checkpoint=True)),
    # Gradients summed in fp32, which DeepSpeed does in another optimizer, whose files differ.
    "zero1_fp32_gradients": dict(world=2, zero=dict(stage=1), more=dict(data_types=dict(grad_accum_dtype="fp32"))),
}


class Classifier(torch.nn.Module):
    """The names and the arithmetic of the reference pipeline's model."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.qwen = Qwen3Model(Qwen3Config(**SHAPE, rope_theta=1e6, use_cache=False, tie_word_embeddings=False, attn_implementation="eager",
                                           bos_token_id=1, eos_token_id=2))
        self.patch_embed = torch.nn.ModuleDict({"proj": torch.nn.Conv2d(3, SHAPE["hidden_size"], PATCH, PATCH)})
        self.classifier = torch.nn.Linear(SHAPE["hidden_size"], CLASSES)

    def forward(self, images):
        tokens = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        return self.classifier(self.qwen(inputs_embeds=tokens).last_hidden_state[:, -1])


def parameter_groups(model, split):
    if not split:
        return list(model.parameters())
    decay = [p for p in model.parameters() if p.dim() > 1]
    return [dict(params=decay, weight_decay=0.05), dict(params=[p for p in model.parameters() if p.dim() <= 1], weight_decay=0.0)]


def batch(rank, index):
    generator = torch.Generator().manual_seed(1000 * rank + index)
    images = torch.randn(MICRO_BATCH, 3, INPUT, INPUT, generator=generator).bfloat16()
    return images, torch.randint(CLASSES, (MICRO_BATCH,), generator=generator)


def expected_state(engine):
    # DeepSpeed links the moments after the first group's first step, when the other groups have none yet.
    engine.optimizer._hp_optimizer_states_linked = False
    engine.optimizer._lazy_init_hp_params_optimizer_state()
    tensors = {}
    weights = engine.module.state_dict()
    for name, parameter in engine.module.named_parameters():
        tensors[name + "/weight"] = weights[name].clone()
        tensors[name + "/master"] = safe_get_full_fp32_param(parameter).clone()
        for moment in ("exp_avg", "exp_avg_sq"):
            tensors[f"{name}/{moment}"] = safe_get_full_optimizer_state(parameter, moment).clone()
    return tensors


def train(rank, name, case, port, out):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(case["world"]), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    deepspeed.init_distributed(dist_backend="gloo")
    model = Classifier()
    optimizer = torch.optim.AdamW(parameter_groups(model, case.get("groups", False)), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100)
    config = {
        "train_batch_size": MICRO_BATCH * ACCUM * case["world"],
        "train_micro_batch_size_per_gpu": MICRO_BATCH,
        "gradient_accumulation_steps": ACCUM,
        "gradient_clipping": 1.0,
        "bf16": {"enabled": True},
        "zero_optimization": {**case["zero"], "reduce_bucket_size": 1000, "allgather_bucket_size": 1000},
        **case.get("more", {}),
    }
    engine, _, _, _ = deepspeed.initialize(model=model, optimizer=optimizer, lr_scheduler=scheduler, config=config)
    for index in range(STEPS * ACCUM):
        images, labels = batch(rank, index)
        engine.backward(functional.cross_entropy(engine(images), labels, label_smoothing=0.1))
        engine.step()
    engine.save_checkpoint(str(out / name), tag="checkpoint-0", client_state={"epoch": 0})
    tensors = expected_state(engine)
    if rank == 0:
        save_file(tensors, out / f"{name}.safetensors")
        for script in ("zero_to_fp32.py", "zero_to_torch.py"):
            (out / name / script).unlink(missing_ok=True)
    torch.distributed.barrier()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def save_ddp_file(path):
    """Backbone and patches bf16, head fp32, and the arguments as an argparse.Namespace: what the pipeline's DDP mode saves."""
    model = Classifier()
    model.qwen.bfloat16()
    model.patch_embed.bfloat16()
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    arguments = argparse.Namespace(
        batch_size=2, accum_iter=2, world_size=2, epochs=100, warmup_epochs=10, blr=1e-3, lr=3.125e-5, min_lr=1e-6, input_size=INPUT,
        dataset="cifar10", nb_classes=CLASSES, seed=5, output_dir="results", weight_decay=0.05, clip_grad=None, device="cpu")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 4, "scaler": {}, "args": arguments}, path)


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    out.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        shutil.rmtree(out / name, ignore_errors=True)
        torch.multiprocessing.spawn(train, args=(name, case, free_port(), out), nprocs=case["world"])
    save_ddp_file(out / "ddp.pth")
    config = dict(model_type="qwen3", hidden_act="silu", attention_bias=False, rope_theta=1e6, tie_word_embeddings=False, **SHAPE)
    (out / "model.json").write_text(json.dumps(config, indent=1) + "\n")


if __name__ == "__main__":
    main()

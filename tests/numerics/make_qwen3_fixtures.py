"""Writes tests/data/qwen3: small Qwen3 classifiers as Hugging Face transformers computes them, in fp32.

    python tests/numerics/make_qwen3_fixtures.py      (needs torch, transformers and timm; the files are committed)

Each CASE.safetensors has the weights under the program's names (values exact in bf16, stored so), an input batch
("images", "labels"), and what transformers makes of it: "logits", "loss" (label smoothing 0.1) and "grad.NAME" of every
parameter. Of a case with stochastic depth, timm's drop_path stands on both branches of every block, and "scales" [blocks,
2, batch] is what it multiplied them by. CASE.config.json is the backbone's configuration as transformers writes it. hub_* are directories as
save_pretrained leaves them, with the token embedding and head that the classifier has no use for.
"""

import pathlib
import shutil

import torch
from safetensors.torch import save_file
from timm.layers import drop_path
from torch.nn import functional
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "qwen3"
CASES = {
    # Every head has its own key head; head_dim = hidden / heads.
    "mha": dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, head_dim=8),
    # head_dim is not hidden / heads; one key head for four.
    "gqa4": dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, head_dim=16),
    # Sizes that are no powers of two, another theta and epsilon.
    "odd": dict(hidden_size=40, intermediate_size=56, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=3, head_dim=10,
                rope_theta=10000.0, rms_norm_eps=1e-5),
    "deep": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=16, num_attention_heads=2, num_key_value_heads=1, head_dim=8),
    "mean": dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8),
    "cls": dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8),
    "dropped": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=5, num_attention_heads=2, num_key_value_heads=1, head_dim=8),
}
DROP_RATES = {"dropped": 0.5}
POOLINGS = {"mean": "mean", "cls": "cls_token"}
INPUT, PATCH, CLASSES, BATCH = 20, 4, 7, 3


def config_of(numbers, tied):
    base = dict(vocab_size=24, max_position_embeddings=64, rope_theta=1e6, use_cache=False, attn_implementation="eager",
                bos_token_id=1, eos_token_id=2)
    return Qwen3Config(**{**base, **numbers}, tie_word_embeddings=tied)


class Classifier(torch.nn.Module):
    def __init__(self, config, pooling):
        super().__init__()
        self.qwen = Qwen3Model(config)
        self.patch_embed = torch.nn.ModuleDict({"proj": torch.nn.Conv2d(3, config.hidden_size, PATCH, PATCH)})
        self.classifier = torch.nn.Linear(config.hidden_size, CLASSES)
        if pooling == "cls_token":
            self.cls_token = torch.nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        elif pooling == "mean":  # as MAE's global_pool: the mean first, then the norm
            self.qwen.norm.register_forward_pre_hook(lambda module, args: (args[0].mean(1, keepdim=True),))

    def forward(self, images):
        tokens = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        if hasattr(self, "cls_token"):
            tokens = torch.cat((tokens, self.cls_token.expand(len(tokens), -1, -1)), 1)
        return self.classifier(self.qwen(inputs_embeds=tokens).last_hidden_state[:, -1])


def randomise(model, seed):
    """Weights of a size that makes every gradient matter, exact in bf16."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            value = 1 + 0.2 * noise if "norm" in name else noise * (0.3 if parameter.dim() == 1 else parameter[0].numel() ** -0.5)
            parameter.copy_(value.bfloat16().float())


def hook_drop_path(model, rate):
    """timm's drop_path, at the rates of its VisionTransformer, on what is added to the residual stream."""
    generator_state = torch.get_rng_state()
    torch.manual_seed(0)  # every branch is kept by an image, and the last two are dropped by one
    layers = model.qwen.layers
    scales = []
    for layer, probability in zip(layers, torch.linspace(0, rate, len(layers))):
        pair = [drop_path(torch.ones(BATCH, 1, 1), probability.item(), training=True) for _ in range(2)]
        layer.self_attn.register_forward_hook(lambda module, args, out, scale=pair[0]: (out[0] * scale, *out[1:]))
        layer.mlp.register_forward_hook(lambda module, args, out, scale=pair[1]: out * scale)
        scales.append(torch.stack([scale.flatten() for scale in pair]))
    torch.set_rng_state(generator_state)
    return torch.stack(scales)


def write_case(name, numbers, tied, seed):
    config = config_of(numbers, tied)
    model = Classifier(config, POOLINGS.get(name))
    randomise(model, seed)
    generator = torch.Generator().manual_seed(100 + seed)
    images = torch.randn(BATCH, 3, INPUT, INPUT, generator=generator)
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    scales = hook_drop_path(model, DROP_RATES[name]) if name in DROP_RATES else None
    logits = model(images)
    loss = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    loss.backward()
    tensors = {"images": images, "labels": labels, "logits": logits.detach(), "loss": loss.detach().reshape(1)}
    if scales is not None:
        tensors["scales"] = scales
    for key, parameter in model.named_parameters():
        if "embed_tokens" not in key:
            tensors[key] = parameter.detach().bfloat16()
            tensors["grad." + key] = parameter.grad
    save_file(tensors, OUT / f"{name}.safetensors")
    config.to_json_file(OUT / f"{name}.config.json", use_diff=False)


def write_hub_directory(name, numbers, tied, dtype, shard, seed):
    model = Qwen3ForCausalLM(config_of(numbers, tied))
    randomise(model, seed)
    if tied:
        model.tie_weights()
    model.to(dtype).save_pretrained(OUT / name, max_shard_size=shard)
    (OUT / name / "generation_config.json").unlink(missing_ok=True)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for seed, (name, numbers) in enumerate(CASES.items()):
        write_case(name, numbers, tied=seed % 2 == 0, seed=seed)
    small = CASES["gqa4"]
    write_hub_directory("hub_tied_bf16", small, True, torch.bfloat16, "5GB", 10)
    write_hub_directory("hub_sharded_fp32", small, False, torch.float32, "40KB", 11)
    write_hub_directory("hub_fp16", small, False, torch.float16, "5GB", 12)


if __name__ == "__main__":
    main()

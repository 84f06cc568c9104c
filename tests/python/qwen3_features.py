"""What transformers makes of a Hugging Face directory that tessera-ckpt consolidated.

usage: qwen3_features.py DIRECTORY IMAGES.safetensors FEATURES.safetensors

Loads the `qwen.*` part of DIRECTORY as a Qwen3Model, and gives it the patches of "images" as the embeddings of its tokens:
"features" are its last hidden state of the last one, in fp32. Fails where transformers misses a weight or makes one up.
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen3Model

directory, images_file, features_file = sys.argv[1:]
model, loading = Qwen3Model.from_pretrained(directory, key_mapping={r"^qwen\.": ""}, dtype=torch.float32,
                                            attn_implementation="eager", output_loading_info=True)
head = {"patch_embed.proj.weight", "patch_embed.proj.bias", "classifier.weight", "classifier.bias"}
# Of a model that reads images there is no token embedding; transformers makes one up, which nothing reads.
assert set(loading["missing_keys"]) == {"embed_tokens.weight"}, loading
assert set(loading["unexpected_keys"]) == head and not loading["mismatched_keys"], loading

weights = {}
for shard in pathlib.Path(directory).glob("*.safetensors"):
    weights.update(load_file(shard))
patches = weights["patch_embed.proj.weight"].float()
with torch.no_grad():
    tokens = torch.nn.functional.conv2d(load_file(images_file)["images"], patches, weights["patch_embed.proj.bias"].float(),
                                        stride=patches.shape[-1])
    states = model(inputs_embeds=tokens.flatten(2).transpose(1, 2)).last_hidden_state
save_file({"features": states[:, -1].contiguous()}, features_file)

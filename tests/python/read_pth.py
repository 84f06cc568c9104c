"""Prints what torch sees in .pth files: of each "file NAME", "epoch N" where it has one, "name dtype shape first-values" a tensor."""

import pathlib
import sys

import torch

for path in sys.argv[1:]:
    print("file", pathlib.Path(path).name)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if "model" in state:
        print("epoch", state["epoch"])
        state = state["model"]
    for name, tensor in sorted(state.items()):
        values = " ".join(f"{value:.6g}" for value in tensor.flatten()[:2].tolist())
        print(name, str(tensor.dtype).removeprefix("torch."), "x".join(map(str, tensor.shape)), values)

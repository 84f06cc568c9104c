"""Prints what torch sees in a .pth file: "epoch N" where it has one, then "name dtype shape first-values" a tensor."""

import sys

import torch

state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
if "model" in state:
    print("epoch", state["epoch"])
    state = state["model"]
for name, tensor in sorted(state.items()):
    values = " ".join(f"{value:.6g}" for value in tensor.flatten()[:2].tolist())
    print(name, str(tensor.dtype).removeprefix("torch."), "x".join(map(str, tensor.shape)), values)

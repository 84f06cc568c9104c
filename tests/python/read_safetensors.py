"""Prints what the safetensors package sees in a file: one line "name dtype shape crc32" a tensor, sorted by name.

Uses the package's Rust reader on bytes, so that neither torch nor numpy (which has no bfloat16) takes part.
"""

import sys
import zlib

import safetensors

with open(sys.argv[1], "rb") as file:
    tensors = safetensors.deserialize(file.read())
for name, tensor in sorted(tensors):
    shape = "x".join(str(extent) for extent in tensor["shape"])
    print(f"{name} {tensor['dtype']} {shape} {zlib.crc32(bytes(tensor['data'])):08x}")

"""Prints what h5py sees in a state.h5: attributes and texts of /run, then one line per data set with its values."""

import sys

import h5py

with h5py.File(sys.argv[1], "r") as file:
    print("format", file.attrs["format"].decode(), file.attrs["format_version"])
    for name, value in sorted(file["run"].attrs.items()):
        print("run", name, value)
    for name, data_set in sorted(file["run"].items()):
        print("run", name, data_set[()].decode())
    for name, group in sorted(file["parameters"].items()):
        for component, data_set in sorted(group.items()):
            values = " ".join(f"{value:.6g}" for value in data_set[()].ravel()[:4])
            print(name, component, data_set.shape, data_set.dtype.kind, values)

#!/usr/bin/env python3
"""Seconds and messages of starting on 1 to 64 ranks of this machine: `tessera topology --no_measure` (MPI, environment, mesh) and
`tessera finetune` of the preset tiny of one step and its evaluation. Messages are point to point, those that collectives are made of
too, as Open MPI's pml_monitoring counts them: of rank 0, of the rank that sends most, and on average.

usage: tests/bench/startup.py [--tessera build/bin/tessera] [--ranks 1,2,4,8,16,32,64] [--data_path /usr/share/datasets/fashion-mnist]
                              [--images N]
--images     take the first N of the training and the test images: each rank has all of them in memory
"""

import argparse
import gzip
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path


def cut(data_path, images, folder):
    """Fashion-MNIST's IDX files in `folder`, of their first images: https://github.com/zalandoresearch/fashion-mnist."""
    for path in Path(data_path).glob("*ubyte.gz"):
        content = gzip.decompress(path.read_bytes())
        header = 4 * (1 + content[3])
        count = int.from_bytes(content[4:8], "big")
        kept = min(images, count)
        item = (len(content) - header) // count
        cut_content = content[:4] + kept.to_bytes(4, "big") + content[8:header + kept * item]
        (Path(folder) / path.name).write_bytes(gzip.compress(cut_content))
    return folder


def sent_by_rank(folder):
    """{rank: (messages, bytes)} of the files that pml_monitoring leaves."""
    sent = {}
    for path in folder.glob("sent.*.prof"):
        messages = size = 0
        for line in path.read_text().split("# OSC")[0].splitlines():
            found = re.match(r"[IE]\t\d+\t\d+\t(\d+) bytes\t(\d+) msgs sent", line)
            if found:
                size += int(found.group(1))
                messages += int(found.group(2))
        sent[int(path.name.split(".")[1])] = (messages, size)
    return sent


def start(arguments, ranks, words):
    """Seconds from mpirun to its end, and what each rank sent."""
    environment = os.environ | {"OMPI_MCA_mpi_yield_when_idle": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        command = ["mpirun", "--oversubscribe", "-n", str(ranks), "--mca", "pml_monitoring_enable", "2", "--mca",
                   "pml_monitoring_enable_output", "3", "--mca", "pml_monitoring_filename", folder + "/sent",
                   arguments.tessera, *words]
        begin = time.monotonic()
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.monotonic() - begin, sent_by_rank(Path(folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tessera", default="build/bin/tessera")
    parser.add_argument("--ranks", default="1,2,4,8,16,32,64")
    parser.add_argument("--data_path", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--images", type=int)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table(arguments, cut(arguments.data_path, arguments.images, folder) if arguments.images else arguments.data_path)


def table(arguments, data_path):
    finetune = ["finetune", "--device", "cpu", "--model_config", "tiny", "--dataset", "fashion-mnist", "--data_path",
                data_path, "--input_size", "28", "--patch_size", "7", "--zero_stage", "2", "--batch_size", "16",
                "--num_workers", "1", "--max_steps", "1", "--epochs", "1", "--warmup_epochs", "0"]
    print("| start | ranks | s | messages: rank 0 | most | mean | KiB: rank 0 | most | mean |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, words in (("topology", ["topology", "--no_measure", "--device", "cpu"]), ("finetune", finetune)):
        for ranks in map(int, arguments.ranks.split(",")):
            seconds, sent = start(arguments, ranks, words)
            columns = []
            for part, scale in ((0, 1), (1, 1024)):
                values = [each[part] / scale for each in sent.values()] or [0]
                columns += [f"{sent.get(0, (0, 0))[part] / scale:.0f}", f"{max(values):.0f}", f"{sum(values) / len(values):.0f}"]
            print("|", " | ".join([name, str(ranks), f"{seconds:.1f}", *columns]), "|", flush=True)


if __name__ == "__main__":
    main()

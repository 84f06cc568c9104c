#!/bin/bash
# Installs the Python programs that the tests let read our files; see --help. jobs/setup.sh --tests calls it.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: jobs/consumers.sh PYTHON_DIR

Makes deps/consumers/python, an interpreter that has tests/python/requirements.txt, and the torch of PYTHON_DIR (the folder
that holds torch/). Where that wheel was unpacked without NVIDIA's libraries, it is given empty ones: torch refuses to be
imported without them, and never calls them where there is no GPU.
TEXT
}

[[ ${1:-} == --help ]] && usage && exit 0
(($# == 1)) || { usage >&2; exit 2; }
python_dir=$(realpath "$1")
to=$PWD/deps/consumers
made_of=$(cat jobs/consumers.sh tests/python/requirements.txt - <<<"$python_dir" | sha256sum)
[[ -e $to/made_of && $(<"$to/made_of") == "$made_of" ]] && exit 0

echo "consumers: installing tests/python/requirements.txt into deps/consumers" >&2
rm -rf "$to"
python3 -m venv --without-pip "$to"
python3 -m pip --python "$to" install --quiet --disable-pip-version-check --no-compile -r tests/python/requirements.txt
# Found after what the environment has itself.
echo "$python_dir" >"$("$to/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch.pth"

# One library under every name that the wheel's libraries miss, with every function that they miss then.
mkdir "$to/absent"
libraries=("$python_dir"/torch/lib/libtorch_{cuda,python}.so)
make_absent() { cc -shared -fPIC -o "$to/absent/absent.so" -xc -; }
make_absent </dev/null
for name in $(ldd "${libraries[@]}" | awk '/=> not found/ { print $1 }' | sort -u); do
  ln -s absent.so "$to/absent/$name"
done
# What Python's own library has, the interpreter brings.
LD_LIBRARY_PATH=$to/absent ldd -r "${libraries[@]}" 2>&1 |
  sed -n '/^undefined symbol: _*Py/d; s/^undefined symbol: \([A-Za-z0-9_]*\).*/\1/p' | sort -u | awk 'BEGIN { print "void abort(void);" } { print "void " $1 "(void) { abort(); }" }' >"$to/absent/absent.c"
make_absent <"$to/absent/absent.c"

cat >"$to/python" <<TEXT
#!/bin/sh
export LD_LIBRARY_PATH="$to/absent\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" HF_HUB_OFFLINE=1
exec "$to/bin/python" "\$@"
TEXT
chmod +x "$to/python"
"$to/python" -c 'import h5py, safetensors, tensorboard, torch, transformers'
echo "$made_of" >"$to/made_of"

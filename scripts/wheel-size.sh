#!/bin/sh
# Prints how large a wheel is, packed and unpacked: the number that users notice when they install it.
set -eu
for wheel in "$@"; do
    .venv/bin/python - "$wheel" <<'PY'
import os
import sys
import zipfile

path = sys.argv[1]
files = zipfile.ZipFile(path).infolist()
unpacked = sum(f.file_size for f in files)
largest = max(files, key=lambda f: f.file_size)
print(f"{path}: {os.path.getsize(path) / 1e6:.1f} MB, unpacked {unpacked / 1e6:.1f} MB")
print(f"  of which {largest.filename}: {largest.file_size / 1e6:.1f} MB")
PY
done

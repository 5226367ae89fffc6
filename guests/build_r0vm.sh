#!/bin/sh
# Builds every guest of R0VM into r0vm/bin/. Needs these packages of Debian 12:
#
#   gcc-riscv64-unknown-elf binutils-riscv64-unknown-elf      the guests in C and in assembly
#   rustc-web cargo-web rust-web-src lld                      the guests in Rust
#
# and, to wrap an ELF and RISC Zero's kernel as one program binary, the Rust that builds Tachy: tests/oracle/wrap.
#
# The guests in Rust take their crates from crates.io at the versions in
# r0vm/rust/Cargo.lock and r0vm/programs/Cargo.lock. With the same packages and
# crates, the same bytes.
#
#   ./build_r0vm.sh            everything
#   ./build_r0vm.sh c          a part: c, linux, kernel, rust or programs
set -eu

here=$(cd "$(dirname "$0")" && pwd)
source=$here/r0vm
oracle=$here/../tests/oracle
what=${1:-all}
case $what in
all | c | linux | kernel | rust | programs) ;;
*) echo "usage: $0 [c|linux|kernel|rust|programs]" >&2; exit 2 ;;
esac

export LC_ALL=C SOURCE_DATE_EPOCH=0
prefix=riscv64-unknown-elf-
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$source/bin"
(cd "$oracle" && cargo build --quiet --locked --package oracle-wrap)
wrap=${CARGO_TARGET_DIR:-$oracle/target}/debug/wrap

# wrap_elf NAME USER [KERNEL]: what is wrapped has neither symbols nor notes.
wrap_elf() {
    name=$1
    shift
    for elf in "$@"; do
        "${prefix}strip" --strip-all --remove-section=.comment --remove-section=.riscv.attributes "$elf"
    done
    "$wrap" "$@" "$source/bin/$name.bin"
}

flags="-march=rv32im -mabi=ilp32 -mcmodel=medany -mstrict-align
    -std=gnu11 -O2 -ffreestanding -fno-builtin -fno-pic -fno-common
    -fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables
    -ffunction-sections -fdata-sections -frandom-seed=guests -Wall -Wextra -Werror"
link="-march=rv32im -mabi=ilp32 -nostdlib -nostartfiles -static
    -Wl,--gc-sections,--build-id=none,--no-warn-rwx-segments"

build_c() {
    cd "$source/c"
    for file in crt0.S r0vm.c; do
        "${prefix}gcc" $flags "-ffile-prefix-map=$here=." -c "$file" -o "$work/${file%.*}.o"
    done
    for file in *.c; do
        name=${file%.c}
        [ "$name" = r0vm ] && continue
        "${prefix}gcc" $flags "-ffile-prefix-map=$here=." -c "$file" -o "$work/$name.o"
        "${prefix}gcc" $link -Wl,-T,guest.ld "$work/crt0.o" "$work/$name.o" "$work/r0vm.o" -lgcc -o "$work/$name.elf"
        wrap_elf "$name" "$work/$name.elf"
    done
}

# The guests of machine bare that measure, on a layer that speaks to R0VM's host.
build_linux() {
    cd "$source/linux"
    for file in ../c/crt0.S ../c/r0vm.c linux.c "$here/c/sys.c"; do
        object=$(basename "$file")
        "${prefix}gcc" $flags "-ffile-prefix-map=$here=." -c "$file" -o "$work/linux_${object%.*}.o"
    done
    for name in fib sieve sha256 quicksort vm mix; do
        "${prefix}gcc" $flags -Dmain=guest_main "-ffile-prefix-map=$here=." -c "$here/c/$name.c" -o "$work/$name.o"
        "${prefix}gcc" $link -Wl,-T,../c/guest.ld,--no-relax "$work/linux_crt0.o" "$work/$name.o" "$work/linux_linux.o" \
            "$work/linux_sys.o" "$work/linux_r0vm.o" -lgcc -o "$work/$name.elf"
        wrap_elf "$name" "$work/$name.elf"
    done
}

# A program in machine mode takes the kernel's place in the binary. It brings its user program along, or has none to
# speak of.
build_kernel() {
    cd "$source/kernel"
    "${prefix}gcc" $flags -c user.S -o "$work/user.o"
    for file in *.S; do
        name=${file%.S}
        [ "$name" = user ] && continue
        "${prefix}gcc" $flags -c "$file" -o "$work/$name.o"
        "${prefix}gcc" $link -Wl,-T,kernel.ld "$work/$name.o" -o "$work/kernel_$name.elf"
        "${prefix}gcc" $link -Wl,-T,../c/guest.ld "$work/user.o" -o "$work/user.elf"
        wrap_elf "kernel_$name" "$work/user.elf" "$work/kernel_$name.elf"
    done
}

# build_cargo PACKAGE: every program of a cargo project.
build_cargo() (
    cd "$source/$1"
    # Debian's compiler, which comes with the sources of the libraries; building
    # those is an unstable feature, hence the bootstrap switch.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RISC0_FEATURE_bigint2=1
    unset RUSTUP_TOOLCHAIN CARGO_BUILD_TARGET RUSTC_WRAPPER RUSTFLAGS
    sources=$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust
    /usr/bin/cargo fetch --quiet --locked
    # No atomic instructions: there is one thread, so plain ones will do.
    unit=$(printf '\037')
    flags="-Cpasses=lower-atomic${unit}-Cpanic=abort${unit}--cfg${unit}getrandom_backend=\"custom\""
    flags="$flags${unit}-Clinker=ld.lld${unit}-Clink-arg=-Ttext=0x00200800${unit}-Clink-arg=--fatal-warnings"
    flags="$flags${unit}-Clink-arg=--build-id=none"
    flags="$flags${unit}--remap-path-prefix=$source/$1=.${unit}--remap-path-prefix=$sources=rust"
    flags="$flags${unit}--remap-path-prefix=$(readlink -f "$sources")=rust"
    for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
        flags="$flags${unit}--remap-path-prefix=${folder%/}=crates"
    done
    export CARGO_ENCODED_RUSTFLAGS="$flags"
    export CARGO_TARGET_DIR="${GUEST_TARGET_DIR:-$work/target}"
    /usr/bin/cargo build --quiet --release --locked
    for file in src/bin/*.rs; do
        name=$(basename "$file" .rs)
        cp "$CARGO_TARGET_DIR/riscv32im-risc0-zkvm-elf/release/$name" "$work/$name.elf"
        wrap_elf "$name" "$work/$name.elf"
    done
)

build_rust() {
    build_cargo rust
}

# Programs that are like those of RISC Zero's users, for speed rather than size.
build_programs() {
    build_cargo programs
}

case $what in
all) build_c; build_linux; build_kernel; build_rust; build_programs ;;
*) "build_$what" ;;
esac

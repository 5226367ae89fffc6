#!/bin/sh
# Builds the C guests for the machine this runs on, to measure what the same source does natively:
#
#   guests/build_native.sh [FOLDER]                       target/native unless told
#   tachy bench --against native=target/native guests/bin/fib.elf guests/bin/vm.elf -- ...
#
# The compiler is $CC, or cc; it optimises as for the guests. Left out is smc, which writes RISC-V code, and rust_mix,
# whose system calls are RISC-V assembly.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-"$here/../target/native"}
mkdir -p "$folder"
# A guest's address is a 32-bit number: code and data lie low without PIE, and casts that cut addresses are meant.
flags="-std=gnu11 -O2 -fno-builtin -fno-pie -no-pie -fno-common -fno-tree-loop-distribute-patterns -w"
for source in "$here"/c/*.c; do
    name=$(basename "$source" .c)
    case $name in
    sys | smc) continue ;;
    esac
    ${CC:-cc} $flags -o "$folder/$name" "$source" "$here/c/sys.c" "$here/native/host.c"
    echo "$folder/$name"
done

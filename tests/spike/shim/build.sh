#!/bin/sh
# Builds shim.elf, which is committed. Needs Debian's gcc-riscv64-unknown-elf.
set -eu
cd "$(dirname "$0")"
riscv64-unknown-elf-gcc -march=rv32im_zicsr -mabi=ilp32 -mcmodel=medany -std=gnu11 -O2 -ffreestanding -fno-builtin \
    -fno-pic -fno-common -fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables -Wall -Wextra -Werror \
    -nostdlib -nostartfiles -static -Wl,--build-id=none,--no-warn-rwx-segments,-T,shim.ld start.S shim.c -o shim.elf
riscv64-unknown-elf-strip --strip-debug --remove-section=.comment shim.elf

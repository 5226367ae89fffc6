# Where Spike begins: a stack for the shim, then its C code; and where the guest's traps arrive, in machine mode.

    .section .text.start
    .globl _start
_start:
    la sp, shim_stack_top
    csrw mscratch, sp
    la t0, trap
    csrw mtvec, t0
    # Above lie the registers that `boot` fills in.
    addi sp, sp, -128
    tail boot

# Saves the guest's registers below the shim's stack top, for `handle` to read and change, and goes back.
    .align 2
trap:
    csrrw sp, mscratch, sp
    addi sp, sp, -128
    sw x1, 4(sp)
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sw x\n, 4*\n(sp)
    .endr
    csrr t0, mscratch
    sw t0, 8(sp)
    mv a0, sp
    call handle
    mv a0, sp

# a0: the registers to go on with, the last words below the shim's stack top.
    .globl resume
resume:
    mv sp, a0
    lw t0, 8(sp)
    csrw mscratch, t0
    lw x1, 4(sp)
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    lw x\n, 4*\n(sp)
    .endr
    addi sp, sp, 128
    csrrw sp, mscratch, sp
    mret

    .section .bss
    .align 4
    .space 8192
    .globl shim_registers
shim_registers:
    .space 128
shim_stack_top:

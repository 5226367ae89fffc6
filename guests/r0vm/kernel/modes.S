# Both modes: a dispatch word for calls, one for each cause of a trap, and mret from either. The sum is over causes and pcs.
    .include "machine.h"
    .section .text.start
    .globl _start
_start:
    li t0, ECALL_DISPATCH
    la t1, call
    sw t1, 0(t0)
    li t0, TRAP_DISPATCH
    la t1, traps
    li t2, 10
1:  sw t1, 0(t0)
    addi t0, t0, 4
    addi t1, t1, 8
    addi t2, t2, -1
    bnez t2, 1b
    li t0, 0x00010000
    lw t1, 0(t0)
    addi t1, t1, -4
    li t0, MEPC
    sw t1, 0(t0)
    li s0, 1
    mret

traps:
    .set cause, 0
    .rept 10
    li a0, cause
    j trap
    .set cause, cause + 1
    .endr

trap:
    fold a0
    li t0, MEPC
    lw a1, 0(t0)
    fold a1
    li t1, 1
    beq a0, t1, recover
    li t1, 9
    bne a0, t1, 1f
    # Mended, and the call is not made again.
    li t0, ECALL_DISPATCH
    la t1, call
    sw t1, 0(t0)
1:  mret

recover:
    li t1, USER_BANK
    lw t1, 4 * 26(t1)
    addi t1, t1, -4
    sw t1, 0(t0)
    mret

call:
    li t0, USER_BANK
    lw a0, 4 * 5(t0)
    fold a0
    beqz a0, end
    li t1, 2
    bne a0, t1, 1f
    li t0, ECALL_DISPATCH
    la t1, call + 2
    sw t1, 0(t0)
1:  mret

end:
    li t0, USER_SHUNT
    lw a1, 0(t0)
    fold a1
    finish 7

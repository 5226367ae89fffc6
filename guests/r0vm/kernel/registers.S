# Register banks as memory, both shunts, and an x0 that is not zero.
    .include "machine.h"
    .section .text.start
    .globl _start
_start:
    li s0, 1
    li s1, MACHINE_BANK
    li a3, 0x12345678
    lw a4, 4 * 13(s1)           # a3 as memory
    fold a4
    sb a4, 4 * 13 + 1(s1)       # a byte of a3
    fold a3
    lhu a4, 4 * 13 + 2(s1)
    fold a4
    li a5, 0x0badcafe
    sw a5, 4 * 15(s1)           # a register onto itself
    fold a5
    sw a5, 4 * 14(s1)
    fold a4
    lw s1, 4 * 9(s1)            # the base register loads itself
    fold s1
    add x0, a3, a4              # the shunt
    lw a4, 0x100(s1)
    fold a4
    beq a4, a3, 1f              # branches write 0 there
1:  lw a4, 0x100(s1)
    fold a4
    # All user registers, then summed.
    li t1, USER_BANK
    li t2, 32
    li t3, 0x01010101
1:  sw t3, 0(t1)
    slli t3, t3, 1
    addi t3, t3, 3
    addi t1, t1, 4
    addi t2, t2, -1
    bgtz t2, 1b
    li t1, USER_BANK
    li t2, 32
1:  lw t3, 0(t1)
    fold t3
    addi t1, t1, 4
    addi t2, t2, -1
    bgtz t2, 1b
    # From here on x0 reads 5. `li` of a small number is an addition to x0, so upper halves only.
    lui t2, 0
    addi t2, t2, 5
    sw t2, 0(s1)
    fold zero
    add a4, zero, zero
    fold a4
    lw a5, 0(s1)
    fold a5
    addi x0, a4, 1              # goes to the shunt; x0 stays 5
    fold zero
    lui t2, 0
    sw t2, 0(s1)
    fold zero
    finish 0

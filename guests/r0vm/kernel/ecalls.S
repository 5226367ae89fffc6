# Machine ecalls with odd lengths and addresses: reads of standard input at four alignments, hashes, a write.
    .include "machine.h"
    .section .text.start
    .globl _start
_start:
    li s0, 1
    li s2, 0x00123400           # a buffer, moved by 1 after each read, across pages
    la s3, lengths
    li s4, 22
1:  lw s5, 0(s3)
    # The host wants a3 = descriptor and a4 = length, in whole words, in the user's registers.
    li t0, USER_BANK
    li t1, 0
    sw t1, 4 * 13(t0)
    addi t1, s5, 3
    andi t1, t1, -4
    sw t1, 4 * 14(t0)
    la a0, name
    mv a1, s2
    mv a2, s5
    li a7, 1
    ecall
    fold a0
    # The results: a0 is how many bytes there were.
    li a0, 0
    li a1, 0x00200000
    li a2, 8
    li a7, 1
    ecall
    li t0, 0x00200000
    lw t1, 0(t0)
    fold t1
    mv t2, s2
    mv t3, s5
2:  beqz t3, 3f
    lbu t1, 0(t2)
    fold t1
    addi t2, t2, 1
    addi t3, t3, -1
    j 2b
3:  add s2, s2, s5
    addi s2, s2, 1
    addi s3, s3, 4
    addi s4, s4, -1
    bnez s4, 1b

    # SHA-256 of 3 blocks from an address that is rounded down; then of none.
    la a0, state
    li a1, 0x00300000
    li a2, 0x00123403
    li a3, 3
    la a4, constants
    li a7, 4
    ecall
    li a3, 0
    li a1, 0x00300020
    li a7, 4
    ecall
    li t0, 0x00300000
    li t3, 16
1:  lw t1, 0(t0)
    fold t1
    addi t0, t0, 4
    addi t3, t3, -1
    bnez t3, 1b

    # Poseidon2 of 2 blocks of half-words, then of an element block with the state that the first left.
    li a0, 0x00300040 >> 2
    li a1, 0x00123400 >> 2
    li a2, 0x00300060 >> 2
    li a3, 2
    li a7, 3
    ecall
    li a0, 0x00300040 >> 2
    la a1, elements
    srli a1, a1, 2
    li a2, 0x00300060 >> 2
    li a3, 0x80000001
    li a7, 3
    ecall
    li t0, 0x00300040
    li t3, 16
1:  lw t1, 0(t0)
    fold t1
    addi t0, t0, 4
    addi t3, t3, -1
    bnez t3, 1b

    li a0, 1
    la a1, name
    li a2, 43
    li a7, 2
    ecall
    fold a0
    finish 3

    .section .rodata
name:
    .asciz "risc0_zkvm_platform::syscall::nr::SYS_READ"
    .balign 4
lengths:
    .word 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 31, 63, 64, 100, 255, 1023, 1024
state:
    .word 0x67e6096a, 0x85ae67bb, 0x72f36e3c, 0x3af54fa5, 0x7f520e51, 0x8c68059b, 0xabd9831f, 0x19cde05b
elements:
    .word 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x78000000
    # The round constants of SHA-256 need not be right for a hash to be comparable; these are not.
constants:
    .set value, 0x428a2f98
    .rept 64
    .word value
    .set value, (value * 5 + 0x71374491) & 0xffffffff
    .endr

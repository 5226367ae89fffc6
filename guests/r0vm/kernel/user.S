# The user program under kernel_modes: one call, then a trap of every kind that there is, and the end. Other kernels never
# get here.
    .section .text.start
    .globl _start
_start:
    la a0, words
    li t0, 1
    ecall
    lw t1, 2(a0)                # 4: load misaligned
    lh t1, 1(a0)
    sw t1, 1(a0)                # 6: store misaligned
    sh t1, 3(a0)
    li a1, 0xc0000000
    lw t1, 0(a1)                # 5: load fault
    lbu t1, 3(zero)
    sw t1, 0(a1)                # 7: store fault
    sb t1, 7(zero)
    ebreak                      # 3
    .word 0                     # 2: illegal
    fence
    .word 0x00200073            # a system instruction with rs2 = 2
    la a2, words + 2
    jr a2                       # 0: misaligned target
    beq zero, zero, . + 6
    la s10, 1f
    li a2, 0x1000
    jr a2                       # 1: fetch fault; goes on at s10
1:  la s10, 1f
    li a2, 0xc0000000
    jr a2
1:  li t0, 2                    # the kernel breaks its dispatch word
    ecall
    li t0, 3
    ecall                       # 9, and the kernel mends it
    ecall
    add x0, a0, a1              # into the user's shunt
    mv t1, zero
    li t0, 0
    ecall
    .section .data
    .balign 4
words:
    .word 0x11223344, 0x55667788

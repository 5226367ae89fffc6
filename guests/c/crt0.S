# Program entry for the C guests.
#
# On entry sp points at argc; the argv pointers follow it, then a NULL, the
# environment pointers, another NULL and the auxiliary vector. The loader has
# already zeroed .bss.

    .section .text.start, "ax", @progbits
    .globl  _start
    .type   _start, @function
_start:
    .option push
    .option norelax
    la      gp, __global_pointer$
    .option pop
    mv      fp, zero
    lw      a0, 0(sp)               # argc
    addi    a1, sp, 4               # argv
    andi    sp, sp, -16
    call    main
    li      a7, 93                  # exit(main's result)
    ecall
1:  j       1b
    .size   _start, . - _start

# long sys_call3(long a, long b, long c, long number)
    .section .text.sys_call3, "ax", @progbits
    .globl  sys_call3
    .type   sys_call3, @function
sys_call3:
    mv      a7, a3
    ecall
    ret
    .size   sys_call3, . - sys_call3

    .section .note.GNU-stack, "", @progbits

// Jumps and branches as far as they reach: jal by 1048572 bytes forward and 1048576 back, each branch by 4092 and 4096.
// The generator's programs would have to be filled with as many bytes.
//
// Each pair is a place `low`, whose first instruction jumps to `high`, and a place `high`, which lies as far above and
// goes back once: the second time it falls through, and the signature says how often it came by.

#include "model_test.h"
#include "arch_test.h"
RVTEST_ISA("RV32I")

.section .text.init
.globl rvtest_entry_point
rvtest_entry_point:
RVMODEL_BOOT
RVTEST_CODE_BEGIN

RVTEST_SIGBASE(x12, signature)
LI(x13, 0)
LA(x10, low)
jalr x14, 0(x10)
LA(x10, low)
sub x11, x11, x10
RVTEST_SIGUPD(x12, x11)
sub x13, x13, x10
RVTEST_SIGUPD(x12, x13)
sub x14, x14, x10
RVTEST_SIGUPD(x12, x14)

// A slot of 32 bytes: counts passes from 0 in x13, against `end` in x14.
.macro near_low branch, a, b, end
    .balign 32
    slot_\branch:
    li x13, 0
    li x14, \end
    low_\branch:
    \branch \a, \b, high_\branch
    ebreak
.endm

// A slot of 32 bytes as far behind as the branches reach.
.macro near_high branch, a, b, index, next
    .org branches + 8 + 4092 + 32 * \index
    high_\branch:
    addi x13, x13, 1
    \branch \a, \b, low_\branch
    sw x13, 12 + 4 * \index(x12)
    j slot_\next
.endm

j slot_beq
.balign 32
branches:
near_low beq, x0, x0, 1
near_low bne, x14, x0, 2
near_low blt, x0, x14, 2
near_low bge, x14, x0, 1
near_low bltu, x0, x14, 2
near_low bgeu, x14, x0, 1
.balign 32
slot_end:
j done
near_high beq, x13, x14, 0, bne
near_high bne, x13, x14, 1, blt
near_high blt, x13, x14, 2, bge
near_high bge, x14, x13, 3, bltu
near_high bltu, x13, x14, 4, bgeu
near_high bgeu, x14, x13, 5, end
done:

RVTEST_CODE_END
RVMODEL_HALT

.section .far_low, "ax"
low:
jal x11, high

.section .far_high, "ax"
high:
bne x13, x0, 1f
jal x13, low
1:
jalr x0, 0(x14)

RVTEST_DATA_BEGIN
RVTEST_DATA_END

RVMODEL_DATA_BEGIN
CANARY
signature:
.fill 3 + 6, 4, 0xdeadbeef
CANARY
RVMODEL_DATA_END

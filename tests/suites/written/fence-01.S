// Every fence there can be does nothing to a single hart: each set of predecessors and successors, fence.tso, and each
// register in the fields that are to be ignored. Each stands between a store and a load, which the signature shows; in
// the end it shows the registers.

#include "model_test.h"
#include "arch_test.h"
RVTEST_ISA("RV32I")

.section .text.init
.globl rvtest_entry_point
rvtest_entry_point:
RVMODEL_BOOT
RVTEST_CODE_BEGIN

RVTEST_SIGBASE(x12, signature)
LA(x10, rvtest_data)

// A fence as a word, between the store of `value` and its load.
.macro fenced value, word
    LI(x11, \value)
    sw x11, 0(x10)
    .word \word
    lw x13, 0(x10)
    RVTEST_SIGUPD(x12, x13)
.endm

.set i, 0
.rept 256
    fenced 0x1000 + i, i << 20 | 0x0f
    .set i, i + 1
.endr
fenced 0x2000, 0x8330000f
.set i, 1
.rept 31
    fenced 0x3000 + i, 0x0ff0000f | i << 7
    fenced 0x4000 + i, 0x0ff0000f | i << 15
    .set i, i + 1
.endr
.irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    RVTEST_SIGUPD(x12, x\n)
.endr

RVTEST_CODE_END
RVMODEL_HALT

RVTEST_DATA_BEGIN
rvtest_data:
.word 0xbabecafe
RVTEST_DATA_END

RVMODEL_DATA_BEGIN
CANARY
signature:
.fill 256 + 1 + 2*31 + 31, 4, 0xdeadbeef
CANARY
RVMODEL_DATA_END

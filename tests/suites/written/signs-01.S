// Loads of bytes and half-words of both signs, at every offset that the width allows; all bytes that the generator's
// programs load are negative.

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

.irp at, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    lb x11, \at(x10)
    RVTEST_SIGUPD(x12, x11)
    lbu x11, \at(x10)
    RVTEST_SIGUPD(x12, x11)
.endr
.irp at, 0, 2, 4, 6, 8, 10, 12, 14
    lh x11, \at(x10)
    RVTEST_SIGUPD(x12, x11)
    lhu x11, \at(x10)
    RVTEST_SIGUPD(x12, x11)
.endr
.irp at, 0, 4, 8, 12
    lw x11, \at(x10)
    RVTEST_SIGUPD(x12, x11)
.endr

RVTEST_CODE_END
RVMODEL_HALT

RVTEST_DATA_BEGIN
rvtest_data:
.word 0x80ff7f01, 0x017f80fe, 0x7fff8000, 0x80007fff
RVTEST_DATA_END

RVMODEL_DATA_BEGIN
CANARY
signature:
.fill 2*16 + 2*8 + 4, 4, 0xdeadbeef
CANARY
RVMODEL_DATA_END

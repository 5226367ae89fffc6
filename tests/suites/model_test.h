// How a test program in the form of riscv-arch-test begins and ends on the machines that run it here: one ELF for Spike
// and for machine `bare`.
//
// It ends by writing to `tohost`, of which Spike's host takes notice, and then with the exit call of `bare`, where
// `tohost` is a word like any other. By the time Spike comes to that call its host has seen enough; what it does with
// it touches no memory.

#ifndef MODEL_TEST_H
#define MODEL_TEST_H

#define RVMODEL_BOOT

#define RVMODEL_HALT         \
    la t0, tohost           ;\
    li t1, 1                ;\
    sw t1, 0(t0)            ;\
    li a0, 0                ;\
    li a7, 93               ;\
    ecall                   ;\
0:  j 0b

#define RVMODEL_DATA_BEGIN   \
    .align 4                ;\
    .global begin_signature ;\
begin_signature:

#define RVMODEL_DATA_END     \
    .align 4                ;\
    .global end_signature   ;\
end_signature:              ;\
    .align 6                ;\
    .global tohost          ;\
tohost:                     ;\
    .dword 0                ;\
    .global fromhost        ;\
fromhost:                   ;\
    .dword 0

// What was computed is compared with the signature, in one place.
#define RVMODEL_IO_ASSERT_GPR_EQ(_SP, _R, _I)

// No interrupts.
#define RVMODEL_SET_MSW_INT
#define RVMODEL_CLEAR_MSW_INT
#define RVMODEL_CLEAR_MTIMER_INT
#define RVMODEL_CLEAR_MEXT_INT

#endif

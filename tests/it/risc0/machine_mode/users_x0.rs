//! A user's x0 that is not 0 while native code of both modes is around.

use super::*;

/// A kernel may change its user's x0, which is a word of memory, while both run in native code. Then the user's code reads
/// it.
#[test]
fn a_users_x0_that_changes_with_each_call() {
    const CALLS: u32 = 40;
    const USERS_X0: u32 = BANK + 0x80;
    let kernel = |asm: &mut Assembler| {
        name_handler_and_user(asm, CODE + 128);
        asm.li(8, 0);
        asm.li(9, CALLS);
        asm.op(Op::Mret, 0, 0, 0, 0);
        asm.pad_to(CODE + 128);
        let end = asm.label();
        asm.i(Op::Addi, 9, 9, -1);
        asm.branch(Op::Beq, 9, 0, end);
        // Every third call finds another number than 0.
        asm.i(Op::Addi, 8, 8, 1);
        asm.li(10, 3);
        asm.r(Op::Remu, 11, 8, 10);
        asm.i(Op::Sltiu, 11, 11, 1);
        asm.li(5, USERS_X0);
        asm.store(Op::Sw, 11, 0, 5);
        asm.op(Op::Mret, 0, 0, 0, 0);
        asm.place(end);
        terminate(asm);
    };
    let mut user = Assembler::new(USER);
    let top = user.label_here();
    user.r(Op::Add, 20, 20, 0);
    ecall(&mut user);
    user.jal(0, top);
    let case = case(kernel, &[(USER, &user.finish().words)]);
    let outcome = run_everywhere("a user's x0", &case);
    let found = outcome.rows.iter().filter(|row| row.pc == USER && row.rs2 == 1).count() as u32;
    assert_eq!(found, (CALLS - 1) / 3, "rounds in which x0 is 1");
}

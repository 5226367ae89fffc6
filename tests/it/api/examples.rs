//! Runs the programs of `examples/` and checks their output. Embedders start from them, so they must work.

use std::error::Error;

#[allow(dead_code, reason = "only `run` is called")]
#[path = "../../../examples/own_sink.rs"]
mod own_sink;
#[allow(dead_code, reason = "only `run` is called")]
#[path = "../../../examples/risc0_segments.rs"]
mod risc0_segments;
#[allow(dead_code, reason = "only `run` is called")]
#[path = "../../../examples/run_guest.rs"]
mod run_guest;

fn printed(run: impl FnOnce(&mut Vec<u8>) -> Result<(), Box<dyn Error>>) -> String {
    let mut out = Vec::new();
    run(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn run_guest_prints_output_code_and_rows() {
    let expected = "\
fib(10) = 55 ok
exit code 0 after 2949 steps
0 0x00010000 auipc gp,0x2         rd 0x00012000
1 0x00010004 addi gp,gp,1024      rd 0x00012400
2 0x00010008 li s0,0              rd 0x00000000
3 0x0001000c lw a0,0(sp)          rd 0x00000002
4 0x00010010 addi a1,sp,4         rd 0xefffffd4
";
    assert_eq!(printed(run_guest::run), expected);
}

#[test]
fn own_sink_counts_stores_by_function() {
    let expected = "\
124788 steps
      19 stores in finish
       3 stores in heap_alloc
    1014 stores in main
      27 stores in out_hex32
      46 stores in out_str
      25 stores in out_u32
    7292 stores in quicksort
";
    assert_eq!(printed(own_sink::run), expected);
}

#[test]
fn risc0_segments_prints_journal_and_claim() {
    let expected = "\
image id 5ec1a0c0b9e5dd70dbf6bae4d52d11481255a8a9df8a754ea4fd5d705796a613
journal of 17 bytes: \"hello, world!*\\0\\0\\0\"
6387 user cycles, 65536 cycles in total
segment 0: 2^16 cycles, encoded in 70037 bytes
claim e36712de3de26b9b5bc255dce2ba28d93ae4ea7f10e29fe675459f1cbb9910d5
";
    assert_eq!(printed(risc0_segments::run), expected);
}

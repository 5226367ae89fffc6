//! RISC Zero's own server, as its program r0vm has it, for executions and the proofs of dev mode.

use risc0_zkvm::ApiServer;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--port", port] => ApiServer::new_tcp(format!("127.0.0.1:{port}")).run().expect("the host is served"),
        _ => println!("oracle-r0vm {}", risc0_zkvm::VERSION),
    }
}

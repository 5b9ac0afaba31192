//! The launcher, built beside the worker that starts it. All of it is in `crates/jail`: nothing of the worker is linked.

use std::process::ExitCode;

fn main() -> ExitCode {
    haul_jail::main()
}

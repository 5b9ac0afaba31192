//! The program `haul`: all of it is [`haul_cli::main`].

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    haul_cli::main().await
}

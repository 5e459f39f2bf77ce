//! The `zyklus` command. It only calls into the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    zyklus_cli::run()
}

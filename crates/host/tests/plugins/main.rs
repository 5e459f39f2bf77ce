//! Libraries that do what they should not, in a process of their own and in ours. The program is its own harness, because
//! it is also what a plugin's process is started from.

#![expect(clippy::unwrap_used, reason = "in a test that is how a failure is reported")]

mod bench;
mod child;
mod inside;
mod refused;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A test by its name.
pub(crate) type Case = (&'static str, fn());

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|word| word == "plugin-process") {
        return zyklus_host::plugin::plugin_process(args.skip(1));
    }
    let sets = [("refused", refused::CASES), ("child", child::CASES), ("inside", inside::CASES)];
    let trials = sets.into_iter().flat_map(|(set, cases)| {
        cases.iter().map(move |&(name, case)| {
            Trial::test(format!("{set}::{name}"), move || {
                case();
                Ok(())
            })
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

//! The cases every connector passes, whatever it is and however it runs: built in, as a library inside the daemon, in a
//! process of its own. What is particular to one connector stands in a kit file (README.md has its keys); the cases are
//! the same for all. Talks to no network: HTTP is answered from the kit file, unless that says `live`.
//!
//! In a connector's own tests (`harness = false`):
//!
//! ```no_run
//! # use zyklus_connect::{Factory, testkit};
//! # fn main_of<Acme: Factory>() -> std::process::ExitCode {
//! testkit::main::<Acme>("kit.toml")
//! # }
//! ```

mod bench;
mod commands;
mod configuration;
mod file;
mod form;
mod served;
mod source;
mod webhooks;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

pub use bench::{Bench, Verdict};
pub use file::{Expect, Kit};
pub use form::{BuiltIn, Form, Living};
pub use libtest_mimic::{Arguments, Trial};
pub use served::{Exchange, Served};

use futures::future::BoxFuture;

/// One case may take so long.
const WITHIN: Duration = Duration::from_secs(60);

/// A case, by its name.
type Case = (String, Box<dyn Fn(Bench) -> BoxFuture<'static, Verdict> + Send>);

macro_rules! cases {
    ($($name:ident in $module:ident),* $(,)?) => {
        vec![$((stringify!($name).to_owned(), Box::new(|bench| -> futures::future::BoxFuture<'static, super::Verdict> { Box::pin($module::$name(bench)) }) as _)),*]
    };
}
pub(crate) use cases;

/// Fails a case.
macro_rules! ensure {
    ($fine:expr, $($words:tt)*) => {
        if !$fine {
            return Err(format!($($words)*));
        }
    };
}
pub(crate) use ensure;

/// All cases of a kit over these forms.
pub fn trials(kit: Kit, forms: Vec<Arc<dyn Form>>) -> Vec<Trial> {
    let kit = Arc::new(kit);
    let mut trials = Vec::new();
    for form in forms {
        let mut all: Vec<Case> = configuration::all(&kit);
        all.extend(source::all());
        all.extend(webhooks::all());
        all.extend(commands::all());
        for (name, case) in all {
            let bench = Bench::new(Arc::clone(&kit), Arc::clone(&form));
            let name = format!("{}::{name}", form.name());
            trials.push(Trial::test(name, move || Ok(run(case(bench))?)));
        }
    }
    trials
}

/// One after the other where they all act on one real system.
fn in_turn(arguments: &Arguments, kit: &Kit) -> Arguments {
    let test_threads = if kit.live { Some(1) } else { arguments.test_threads };
    Arguments { test_threads, ..arguments.clone() }
}

fn run(case: BoxFuture<'static, Verdict>) -> Verdict {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|e| format!("no runtime: {e}"))?;
    let verdict = runtime.block_on(async { tokio::time::timeout(WITHIN, case).await });
    // What hangs is left behind, and told.
    runtime.shutdown_background();
    verdict.unwrap_or_else(|_| Err(format!("it was not over after {} s", WITHIN.as_secs())))
}

/// Runs them, prints how each ended, and says whether all were passed.
pub fn run_trials(arguments: &Arguments, kit: Kit, forms: Vec<Arc<dyn Form>>) -> bool {
    let arguments = in_turn(arguments, &kit);
    let trials = trials(kit, forms);
    // On a thread of its own: in turn, they run on the one that asks, which may be a runtime's, and each has its own.
    let running = std::thread::spawn(move || libtest_mimic::run(&arguments, trials));
    running.join().is_ok_and(|conclusion| !conclusion.has_failed())
}

/// The whole of a connector's test program: its kit, built in.
pub fn main<F: crate::Factory>(kit: impl AsRef<Path>) -> ExitCode {
    match Kit::read(kit.as_ref()) {
        Ok(kit) => {
            let forms: Vec<Arc<dyn Form>> = vec![Arc::new(BuiltIn::<F>::default())];
            if run_trials(&Arguments::from_args(), kit, forms) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

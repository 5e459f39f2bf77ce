//! `zyklus test`, and the tests' part of `zyklus check`: runs the `[[tests]]` of the playbooks and prints what came of
//! them. Touches no store.

use std::path::Path;

use serde::Serialize;
use zyklus_engine::playtest::{Playtest, Verdict, run};
use zyklus_runtime::Project;

use crate::Failure;
use crate::commands::{Done, load, print, print_json};

/// What `--json` prints.
#[derive(Serialize)]
struct Results {
    passed: usize,
    failed: usize,
    tests: Vec<Verdict>,
}

/// Runs the tests whose name, journey or file contains `wanted`, or all of them.
pub(crate) fn test(config: &Path, wanted: Option<&str>, json: bool) -> Done {
    let project = load(config, false)?;
    let is_wanted = |test: &Playtest| {
        let journey = test.journey.as_deref().unwrap_or_default();
        let places = [test.name.as_str(), journey, &*test.place.file];
        wanted.is_none_or(|text| places.iter().any(|place| place.contains(text)))
    };
    let verdicts: Vec<Verdict> = project
        .book
        .tests
        .iter()
        .filter(|test| is_wanted(test))
        .map(|test| run(&project.book, test))
        .collect();
    if let (true, Some(wanted)) = (verdicts.is_empty(), wanted) {
        return Err(anyhow::anyhow!("no test has `{wanted}` in its name, its journey or its file").into());
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.passed).count();
    if json {
        print_json(&Results { passed: verdicts.len() - failed, failed, tests: verdicts })?;
    } else {
        let line = |verdict: &Verdict| {
            let word = if verdict.passed { "ok    " } else { "FAILED" };
            let journey = verdict.journey.as_deref().unwrap_or("all journeys");
            format!("{word}  {journey}: {}\n{verdict}", verdict.name)
        };
        let lines: String = verdicts.iter().map(line).collect();
        print(&format!("{lines}{}\n", counted(verdicts.len(), failed)))?;
    }
    if failed == 0 { Ok(()) } else { Err(Failure::No) }
}

/// Runs all tests; those that fail.
pub(crate) fn failing(project: &Project) -> Vec<Verdict> {
    project.book.tests.iter().map(|test| run(&project.book, test)).filter(|verdict| !verdict.passed).collect()
}

pub(crate) fn counted(tests: usize, failed: usize) -> String {
    let plural = if tests == 1 { "" } else { "s" };
    match failed {
        0 if tests == 0 => "no tests".to_owned(),
        0 => format!("{tests} test{plural} passed"),
        failed => format!("{tests} test{plural}, {failed} failed"),
    }
}

//! `zyklus check`: every mistake and every doubt in the configuration, and whether its tests pass. Opens no store and no
//! connector.

use std::path::Path;

use serde::Serialize;
use zyklus_engine::Problem;
use zyklus_engine::playtest::Verdict;
use zyklus_runtime::Project;

use crate::commands::{Done, base_dir, load, print, print_json, read};
use crate::playtests::{counted, failing};
use crate::problems::rendered;
use crate::{Failure, show};

/// What `--json` prints; config/README.md describes it.
#[derive(Serialize)]
struct Checked<'p> {
    /// Whether all of it can be run: there are no mistakes, every connector can be loaded, and no test fails.
    sound: bool,
    problems: Vec<Said<'p>>,
    tests: usize,
    failed_tests: Vec<Verdict>,
    #[serde(flatten)]
    contents: Option<Contents<'p>>,
}

/// A mistake or a doubt.
#[derive(Serialize)]
struct Said<'p> {
    severity: &'static str,
    file: &'p str,
    line: usize,
    column: usize,
    message: &'p str,
    help: Option<&'p str>,
}

/// What a configuration without mistakes holds.
#[derive(Serialize)]
struct Contents<'p> {
    lifecycle: &'p str,
    phases: usize,
    journeys: usize,
    templates: usize,
    connectors: usize,
    /// Those whose library cannot be used; the problems say why.
    failed_connectors: usize,
    holdout_percent: u8,
}

fn said(problem: &Problem) -> Said<'_> {
    Said {
        severity: if problem.is_warning { "warning" } else { "error" },
        file: &problem.file,
        line: problem.line,
        column: problem.column,
        message: &problem.message,
        help: problem.help.as_deref(),
    }
}

fn contents(project: &Project) -> Contents<'_> {
    Contents {
        lifecycle: &project.book.lifecycle.id,
        phases: project.book.lifecycle.phases.len(),
        journeys: project.book.journeys.len(),
        templates: project.templates.names().len(),
        connectors: project.connectors.len(),
        failed_connectors: failed_connectors(project),
        holdout_percent: project.book.settings.holdout.share,
    }
}

fn number(count: usize, what: &str) -> String {
    show::counted(count as u64, what)
}

fn failed_connectors(project: &Project) -> usize {
    project.connectors.iter().filter(|c| c.settings.enabled && c.failed.is_some()).count()
}

pub(crate) fn run(config: &Path, json: bool) -> Done {
    if json { as_json(config) } else { as_text(config) }
}

fn as_json(config: &Path) -> Done {
    let project = match read(config, false) {
        Ok(project) => project,
        Err(problems) => {
            let problems = problems.iter().map(said).collect();
            print_json(&Checked {
                sound: false,
                problems,
                tests: 0,
                failed_tests: Vec::new(),
                contents: None,
            })?;
            return Err(Failure::Configuration);
        }
    };
    let failed_tests = failing(&project);
    let sound = failed_tests.is_empty() && failed_connectors(&project) == 0;
    print_json(&Checked {
        sound,
        problems: project.warnings.iter().map(said).collect(),
        tests: project.book.tests.len(),
        failed_tests,
        contents: Some(contents(&project)),
    })?;
    if sound { Ok(()) } else { Err(Failure::No) }
}

fn as_text(config: &Path) -> Done {
    let project = load(config, false)?;
    for warning in &project.warnings {
        eprintln!("{}", rendered(warning, base_dir(config)));
    }
    let (tests, failed) = (project.book.tests.len(), failing(&project));
    if !failed.is_empty() {
        for verdict in &failed {
            eprintln!("error: the test \"{}\" fails\n  --> {}\n{verdict}", verdict.name, verdict.place);
        }
        eprintln!("zyklus: the configuration can be read, but of its {}", counted(tests, failed.len()));
        return Err(Failure::No);
    }
    let Contents { lifecycle, phases, journeys, templates, connectors, failed_connectors, holdout_percent } =
        contents(&project);
    let verdict = if failed_connectors == 0 { "is sound" } else { "can be read" };
    print(&format!(
        "The configuration {verdict}: lifecycle {lifecycle} with {}, {}, {}, {}; {}.\n",
        number(phases, "phase"),
        number(journeys, "journey"),
        number(templates, "template"),
        number(connectors, "connector"),
        counted(tests, 0)
    ))?;
    // Worth a line, because it is chosen and not given.
    match holdout_percent {
        0 => print(
            "Nobody is held out of all marketing; [holdout] in zyklus.toml is how to see what marketing does.\n",
        )?,
        share => print(&format!("{share} % of all customers get no marketing, to compare with.\n"))?,
    }
    match failed_connectors {
        0 => Ok(()),
        failed => {
            eprintln!("zyklus: {failed} of the connectors cannot be loaded, see above");
            Err(Failure::No)
        }
    }
}

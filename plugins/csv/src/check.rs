//! The live checks of `zyklus connector check`: files, headers, first rows. Writes nothing.

use zyklus_connect::{Check, Error, ErrorKind};

use crate::config::Table;
use crate::files;
use crate::lines::Place;
use crate::page;
use crate::records::build;
use crate::view::View;

/// How many rows of each file are tried.
const TRIED: usize = 100;

/// Looks at every file of a table.
pub(crate) fn check(table: &Table) -> Check {
    let name = format!("{} can be read", table.stream.name());
    match look(table) {
        Ok(found) => Check { name, problem: None, found },
        Err(problem) => Check { name, problem: Some(problem), found: String::new() },
    }
}

fn look(table: &Table) -> Result<String, Error> {
    let files = files::list(table)?;
    if files.is_empty() {
        return Ok("no file yet".into());
    }
    let mut tried = 0;
    for file in &files {
        let failed = |e: std::io::Error| {
            Error::new(ErrorKind::Transient, format!("`{}` cannot be read", file.name))
                .with_detail(e.to_string())
        };
        let Some((mut rows, columns)) = page::open(table, file, &Place::START)? else { continue };
        let (mut rows_here, mut broken, mut first) = (0, 0, None);
        while rows_here < TRIED
            && let Some(entry) = rows.next().map_err(failed)?
        {
            let place = format!("{}:{}", file.plain_name(), entry.number());
            let built = match &entry.row {
                Ok(row) => build(&View { table, columns: &columns, row, place: &place }).map(drop),
                Err(problem) => Err(problem.clone()),
            };
            rows_here += 1;
            if let Err(problem) = built {
                broken += 1;
                first.get_or_insert_with(|| format!("{place}: {problem}"));
            }
        }
        tried += rows_here;
        if let Some(problem) = first {
            let message = format!(
                "{broken} of the first {rows_here} rows of `{}` cannot be read: {problem}",
                file.name
            );
            return Err(Error::new(ErrorKind::Invalid, message));
        }
    }
    let plural = if files.len() == 1 { "" } else { "s" };
    Ok(format!("{} file{plural}, first {tried} rows fine", files.len()))
}

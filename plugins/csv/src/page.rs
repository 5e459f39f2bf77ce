//! One page of one stream: goes on where the cursor stands, through as many files as fit. Blocking; the
//! caller keeps it off the async threads.

use std::io;

use zyklus_connect::model::Record;
use zyklus_connect::{Error, ErrorKind, Mode, Next, Page, ReadRequest, Reject, Result};

use crate::config::Table;
use crate::cursor::{Mark, Position};
use crate::files::{self, Found};
use crate::lines::{Lines, Place};
use crate::records::{add_line, build, line};
use crate::rejects::RejectedRow;
use crate::rows::{Entry, Rows};
use crate::view::{Columns, View};

/// Rows of one order or cart beyond this many are refused, so that one wrong column cannot fill the memory.
const MAX_GROUP: usize = 10_000;

/// A file held open between two pages.
pub(crate) struct Open {
    file: String,
    rows: Rows,
    columns: Columns,
}

/// What a page holds so far.
#[derive(Default)]
pub(crate) struct Filling {
    pub(crate) records: Vec<Record>,
    pub(crate) rejected: Vec<RejectedRow>,
    limit: usize,
}

impl Filling {
    pub(crate) fn new(limit: usize) -> Self {
        Filling { limit: limit.max(1), ..Filling::default() }
    }

    fn is_full(&self) -> bool {
        self.records.len() + self.rejected.len() >= self.limit
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.rejected.is_empty()
    }

    fn reject(&mut self, file: &Found, kept: &Kept, problem: &str) {
        self.rejected.push(RejectedRow {
            file: file.name.clone(),
            line: kept.line,
            problem: problem.to_owned(),
            raw: kept.raw.clone(),
        });
    }
}

/// A row as it stood in the file, for the rejects file.
struct Kept {
    line: u64,
    raw: String,
}

impl Kept {
    fn of(entry: &Entry) -> Self {
        Kept { line: entry.number(), raw: entry.raw() }
    }
}

/// The consecutive rows of one order or cart.
struct Group {
    id: String,
    start: Place,
    rows: Vec<Kept>,
    /// What was built, or which line spoilt it and why.
    record: std::result::Result<Record, (u64, String)>,
    remarks: Vec<(u64, String)>,
    total_is_sum: bool,
    /// A broken row stood after the last one: if the group goes on behind it, a line is missing.
    broken_at: Option<u64>,
}

impl Group {
    fn flush(self, file: &Found, page: &mut Filling) {
        match self.record {
            Ok(record) => {
                for (line, remark) in &self.remarks {
                    if let Some(kept) = self.rows.iter().find(|k| k.line == *line) {
                        page.reject(file, kept, remark);
                    }
                }
                page.records.push(record);
            }
            Err((line, problem)) => {
                for kept in &self.rows {
                    if kept.line == line {
                        page.reject(file, kept, &problem);
                    } else {
                        let other = format!("line {line}, of the same `{}`, could not be read", self.id);
                        page.reject(file, kept, &other);
                    }
                }
            }
        }
    }

    fn add(&mut self, view: &View<'_>, entry: &Entry) {
        let kept = Kept::of(entry);
        if let (Some(line), true) = (self.broken_at, self.record.is_ok()) {
            self.record = Err((line, String::new()));
        }
        if let Ok(record) = &mut self.record {
            match line(view) {
                Ok(Some(line)) => add_line(record, line, self.total_is_sum),
                Ok(None) => {}
                Err(problem) => self.record = Err((kept.line, problem)),
            }
        }
        self.rows.push(kept);
    }
}

/// How reading a file ended.
enum End {
    /// At its end.
    Done,
    /// The page is full (or the file failed after some rows): more follows.
    Cut(Option<Open>),
}

/// Opens a file where its mark stands; `None` when it has no header yet.
pub(crate) fn open(table: &Table, file: &Found, mark: &Place) -> Result<Option<(Rows, Columns)>> {
    let failed = |e| io_error(&file.name, e);
    let mut rows = Rows::new(Lines::new(file.open().map_err(failed)?, Place::START), table.delimiter, None);
    let names = match &table.columns {
        Some(columns) => columns.clone(),
        None => {
            let Some(entry) = rows.next().map_err(failed)? else { return Ok(None) };
            if entry.at_end {
                return Ok(None);
            }
            let raw = &entry.lines[0].bytes;
            if raw.starts_with(b"\xff\xfe") || raw.starts_with(b"\xfe\xff") {
                let message = format!("`{}` is UTF-16; save it as UTF-8", file.name);
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            let row = entry.row.map_err(|problem| {
                let message = format!("the header of `{}` cannot be read: {problem}", file.name);
                Error::new(ErrorKind::Invalid, message)
            })?;
            (0..row.len()).filter_map(|i| row.field(i)).map(str::to_owned).collect()
        }
    };
    let columns = Columns::resolve(table, names, &file.name)?;
    let place = if mark.bytes == 0 { rows.place() } else { *mark };
    let input = file.open_at(place.bytes).map_err(failed)?;
    Ok(Some((Rows::new(Lines::new(input, place), table.delimiter, Some(columns.count())), columns)))
}

fn io_error(name: &str, e: io::Error) -> Error {
    let (kind, message) = match e.kind() {
        io::ErrorKind::NotFound => (ErrorKind::Transient, "went away while it was read"),
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Permission, "may not be read; give the daemon's user permission")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            (ErrorKind::Transient, "ends in the middle: it is damaged or still being written")
        }
        _ => (ErrorKind::Transient, "cannot be read"),
    };
    Error::new(kind, format!("`{name}` {message}")).with_detail(e.to_string())
}

/// Reads on in one file until it ends or the page is full; the mark moves along.
fn fill(
    table: &Table,
    file: &Found,
    open: Open,
    mark: &mut Mark,
    patient: bool,
    page: &mut Filling,
) -> Result<End> {
    let Open { file: name, mut rows, columns } = open;
    let grouped = columns.is_grouped();
    let mut group: Option<Group> = None;
    let mut restart = rows.place();
    let mut wait = false;
    loop {
        if group.is_none() && page.is_full() {
            mark.stand_at(rows.place());
            return Ok(End::Cut(Some(Open { file: name, rows, columns })));
        }
        let before = rows.place();
        let entry = match rows.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(e) if page.is_empty() => return Err(io_error(&file.name, e)),
            Err(_) => {
                mark.stand_at(group.map_or(before, |g| g.start));
                return Ok(End::Cut(None));
            }
        };
        if entry.at_end && patient && !file.is_gz() && !mark.waiting {
            wait = true;
            restart = group.as_ref().map_or(entry.start(), |g| g.start);
            break;
        }
        restart = if entry.at_end { entry.start() } else { rows.place() };
        let row = match &entry.row {
            Ok(row) => row,
            Err(problem) => {
                page.reject(file, &Kept::of(&entry), problem);
                if let Some(group) = &mut group {
                    group.broken_at = Some(entry.number());
                    restart = group.start;
                }
                continue;
            }
        };
        let place = format!("{}:{}", file.plain_name(), entry.number());
        let view = View { table, columns: &columns, row, place: &place };
        if !grouped {
            match build(&view) {
                Ok(built) => {
                    page.records.extend(built.records);
                    for remark in &built.remarks {
                        page.reject(file, &Kept::of(&entry), remark);
                    }
                }
                Err(problem) => page.reject(file, &Kept::of(&entry), &problem),
            }
            continue;
        }
        let Some(id) = view.text("id") else {
            let problem = view.required("id").err().unwrap_or_default();
            page.reject(file, &Kept::of(&entry), &problem);
            restart = group.as_ref().map_or(restart, |g| g.start);
            continue;
        };
        if let Some(group) = group.as_mut().filter(|g| g.id == id) {
            if group.rows.len() < MAX_GROUP {
                group.add(&view, &entry);
            } else {
                page.reject(file, &Kept::of(&entry), &format!("more than {MAX_GROUP} rows of one id"));
            }
            restart = group.start;
            continue;
        }
        if let Some(group) = group.take() {
            group.flush(file, page);
            if page.is_full() {
                rows.give_back(entry);
                continue;
            }
        }
        let start = entry.start();
        let kept = Kept::of(&entry);
        let (record, remarks) = match build(&view) {
            Ok(mut built) => {
                (Ok(built.records.remove(0)), built.remarks.into_iter().map(|r| (kept.line, r)).collect())
            }
            Err(problem) => (Err((kept.line, problem)), Vec::new()),
        };
        let total_is_sum = view.text("total").is_none();
        let id = id.to_owned();
        group = Some(Group { id, start, rows: vec![kept], record, remarks, total_is_sum, broken_at: None });
        restart = start;
    }
    if let Some(group) = group {
        group.flush(file, page);
    }
    mark.stand_at(restart);
    mark.waiting = wait;
    mark.done = true;
    Ok(End::Done)
}

/// Reads one page. `held` is the file left open by the page before, and is replaced by this page's.
pub(crate) fn read(
    table: &Table,
    request: &ReadRequest,
    held: &mut Option<Open>,
) -> Result<(Page, Vec<RejectedRow>)> {
    let mut state = Position::parse(request.cursor.as_ref())?;
    let files = files::list(table)?;
    let mut held_now = held.take().filter(|_| !state.caught_up);
    let held_name = held_now.as_ref().filter(|h| stands(h, &state)).map(|h| h.file.clone());
    state.begin(&files, held_name.as_deref(), &table.settings).map_err(|e| io_error("file", e))?;
    let patient = request.mode == Mode::Incremental;
    let mut page = Filling::new(request.limit as usize);
    let mut cut = false;
    for file in &files {
        let Some(mark) = state.files.get_mut(&file.name).filter(|m| !m.done) else { continue };
        let opened = match held_now.take().filter(|_| held_name.as_deref() == Some(&file.name)) {
            Some(open) => Some(open),
            None => {
                let opened = open(table, file, &mark.place()).or_else(|e| {
                    if page.is_empty() {
                        Err(e)
                    } else {
                        cut = true;
                        Ok(None)
                    }
                })?;
                opened.map(|(rows, columns)| Open { file: file.name.clone(), rows, columns })
            }
        };
        let Some(opened) = opened else {
            if cut {
                break;
            }
            // No header yet: nothing to read until it grows.
            mark.done = true;
            continue;
        };
        if let End::Cut(open) = fill(table, file, opened, mark, patient, &mut page)? {
            *held = open;
            cut = true;
            break;
        }
    }
    state.records += page.records.len() as u64;
    state.caught_up = !cut;
    let total = match (patient, cut) {
        (true, _) => None,
        (false, false) => Some(state.records),
        (false, true) => estimate(&files, &state),
    };
    let rejects = page
        .rejected
        .iter()
        .map(|r| Reject { place: format!("{}:{}", r.file, r.line), message: r.problem.clone() })
        .collect();
    let cursor = state.cursor();
    let next = if cut { Next::More { cursor } } else { Next::CaughtUp { cursor, poll_after_ms: None } };
    Ok((Page { records: page.records, rejects, total, next }, page.rejected))
}

/// Whether a held file stands exactly where the cursor says.
fn stands(held: &Open, state: &Position) -> bool {
    state.files.get(&held.file).is_some_and(|mark| !mark.done && mark.place() == held.rows.place())
}

/// How many records there are in all, from the bytes read so far.
fn estimate(files: &[Found], state: &Position) -> Option<u64> {
    let (mut read, mut all) = (0u64, 0u64);
    for file in files {
        let size = file.plain_size();
        all += size;
        read += match state.files.get(&file.name) {
            Some(mark) if mark.done => size,
            Some(mark) => mark.bytes,
            None => 0,
        };
    }
    (read > 0).then(|| (state.records as f64 * all as f64 / read as f64).round() as u64)
}

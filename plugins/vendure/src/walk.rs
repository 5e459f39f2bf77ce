//! One step of reading a stream: asks the shop for a page and moves the place on. Converts nothing.

use serde_json::{Map, Value, json};
use zyklus_connect::model::{At, DAY_MICROS};
use zyklus_connect::{Error, Result};

use crate::api::{Api, Op, unexpected};
use crate::ids::IdSet;
use crate::place::{Mark, Pass, Phase, Place, TICK, Walk};

/// How a stream is read.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Asks for the list, under the name `list`.
    pub(crate) list: Op,
    /// What belongs to the stream at all.
    pub(crate) filter: Value,
    /// Rows a page.
    pub(crate) take: u32,
    /// How far before the present is read again, in microseconds.
    pub(crate) overlap: i64,
    /// What is looked at now and then besides.
    pub(crate) sweep: Option<Sweep>,
}

/// What is looked at now and then, because it changes without changing `updatedAt`.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    /// How often, in microseconds.
    pub(crate) every: i64,
    /// What.
    pub(crate) what: What,
}

/// What a sweep looks at.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// All rows, told again; and ids that are gone, asked for by name before they are believed to be gone.
    Everything {
        /// Asks for ids.
        ids: Op,
    },
    /// Orders placed lately whose payments, refunds or fulfilments have moved.
    Moves {
        /// Asks for the dates alone.
        dates: Op,
        /// How long after its placing an order is looked at.
        window_days: i64,
    },
}

/// What a step gave.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// Items to tell.
    pub(crate) items: Vec<Value>,
    /// Ids that are gone.
    pub(crate) gone: Vec<u64>,
    /// A sentence for the operator, when the shop's answer is not believed.
    pub(crate) doubt: Option<String>,
    /// How many rows there are in all.
    pub(crate) total: Option<u64>,
    /// Whether nothing more is there now.
    pub(crate) caught_up: bool,
}

struct Listed {
    items: Vec<Value>,
    marks: Vec<Mark>,
    total: u64,
    at: At,
}

async fn list(api: &Api, op: Op, options: Map<String, Value>) -> Result<Listed> {
    let mut reply = api.call(op, json!({ "o": options })).await?;
    let total = reply.data.pointer("/list/totalItems").and_then(Value::as_u64).unwrap_or_default();
    match reply.data.pointer_mut("/list/items").map(Value::take) {
        Some(Value::Array(items)) => {
            Ok(Listed { marks: items.iter().map(Mark::of).collect(), items, total, at: reply.at })
        }
        _ => Err(unexpected("list.items")),
    }
}

fn options(plan: &Plan, more: Value, sort: &str, skip: u32, take: u32) -> Map<String, Value> {
    let mut filter = plan.filter.as_object().cloned().unwrap_or_default();
    filter.extend(more.as_object().cloned().unwrap_or_default());
    let mut options = Map::new();
    options.insert("take".into(), take.into());
    if skip > 0 {
        options.insert("skip".into(), skip.into());
    }
    options.insert("sort".into(), json!({ sort: "ASC" }));
    if !filter.is_empty() {
        options.insert("filter".into(), filter.into());
    }
    options
}

/// Reads one page and moves the place on.
pub(crate) async fn step(api: &Api, plan: &Plan, place: &mut Place) -> Result<Step> {
    match place.pass.take() {
        None => changes(api, plan, place, None, place.from).await,
        Some(Pass { phase: Phase::Changes(after), started, top, read }) => {
            let pass = Pass { phase: Phase::Changes(after), started, top, read };
            changes(api, plan, place, Some(pass), after).await
        }
        Some(Pass { phase: Phase::Block { anchor, walk }, started, top, read }) => {
            let pass = Pass { phase: Phase::Changes(None), started, top, read };
            block(api, plan, place, pass, anchor, walk).await
        }
        Some(Pass { phase: Phase::Sweep { since, edge, walk, found }, started, top, read }) => {
            let pass = Pass { phase: Phase::Changes(None), started, top, read };
            sweep(api, plan, place, pass, (since, edge), walk, found).await
        }
    }
}

async fn changes(
    api: &Api,
    plan: &Plan,
    place: &mut Place,
    pass: Option<Pass>,
    after: Option<At>,
) -> Result<Step> {
    let filter = after.map_or(json!({}), |at| json!({ "updatedAt": { "after": at } }));
    let page = list(api, plan.list, options(plan, filter, "updatedAt", 0, plan.take)).await?;
    let mut pass = pass.unwrap_or_else(|| place.begin(page.at));
    let stamps: Vec<At> = page.marks.iter().filter_map(|m| m.stamp).collect();
    let span = stamps.iter().min().copied().zip(stamps.iter().max().copied());
    let full = page.items.len() >= plan.take as usize;
    let total = pass.read + page.total;
    pass.read += page.items.len() as u64;
    pass.top = pass.top.max(span.map(|(_, last)| last));
    let items = news(place, page);
    let mut caught_up = false;
    match (full, span) {
        (true, None) => return Err(unexpected("list.items[].updatedAt")),
        (true, Some((first, last))) if last.micros_since(first) <= 2 * TICK => {
            pass.phase = Phase::Block { anchor: first, walk: Walk::default() };
            place.forget_until(first.plus_micros(-TICK).min(pass.started.plus_micros(-plan.overlap)));
        }
        (true, Some((_, last))) => {
            let next = last.plus_micros(-TICK);
            place.forget_until(next.min(pass.started.plus_micros(-plan.overlap)));
            pass.phase = Phase::Changes(Some(next));
        }
        (false, _) => {
            place.settle(&pass, plan.overlap);
            caught_up = !begin_sweep(plan, place, &mut pass);
        }
    }
    place.pass = (!caught_up).then_some(pass);
    Ok(Step { items, total: Some(total), caught_up, ..Step::default() })
}

fn news(place: &mut Place, page: Listed) -> Vec<Value> {
    let marked = page.items.into_iter().zip(page.marks);
    marked.filter_map(|(item, mark)| place.is_news(&mark).then_some(item)).collect()
}

/// Turns the pass to the sweep, if one is due.
fn begin_sweep(plan: &Plan, place: &mut Place, pass: &mut Pass) -> bool {
    let Some(sweep) = &plan.sweep else { return false };
    let Some(swept_at) = place.swept_at else {
        // All of it was read just now.
        place.swept_at = Some(pass.started);
        return false;
    };
    // The shop tells its time in whole seconds, and what the request took is taken off: of two passes within one
    // second the later can seem to have begun earlier.
    if pass.started.micros_since(swept_at).max(0) < sweep.every {
        return false;
    }
    let edge = match sweep.what {
        What::Everything { .. } => At::MIN,
        What::Moves { window_days, .. } => pass.started.plus_micros(-window_days * DAY_MICROS),
    };
    let since = swept_at.plus_micros(-plan.overlap);
    pass.phase = Phase::Sweep { since, edge, walk: Walk::default(), found: IdSet::default() };
    true
}

async fn block(
    api: &Api,
    plan: &Plan,
    place: &mut Place,
    mut pass: Pass,
    anchor: At,
    mut walk: Walk,
) -> Result<Step> {
    let stamped = json!({ "updatedAt": {
        "after": anchor.plus_micros(-TICK), "before": anchor.plus_micros(3 * TICK) } });
    let page = walk_page(api, plan.list, plan, stamped, &mut walk).await?;
    pass.read += page.items.len() as u64;
    let full = page.items.len() >= plan.take as usize;
    walk.advance(page.marks.iter().map(|m| m.id.clone()).collect());
    let items = news(place, page);
    place.forget_until(anchor.plus_micros(-TICK).min(pass.started.plus_micros(-plan.overlap)));
    pass.phase =
        if full { Phase::Block { anchor, walk } } else { Phase::Changes(Some(anchor.plus_micros(2 * TICK))) };
    place.pass = Some(pass);
    Ok(Step { items, ..Step::default() })
}

/// The next page of a list sorted by id; steps back until it follows on what was read.
async fn walk_page(api: &Api, op: Op, plan: &Plan, filter: Value, walk: &mut Walk) -> Result<Listed> {
    loop {
        let page = list(api, op, options(plan, filter.clone(), "id", walk.offset(), plan.take)).await?;
        if walk.follows(page.marks.first().map(|m| m.id.as_str()), plan.take) {
            return Ok(page);
        }
    }
}

async fn sweep(
    api: &Api,
    plan: &Plan,
    place: &mut Place,
    mut pass: Pass,
    (since, edge): (At, At),
    mut walk: Walk,
    mut found: IdSet,
) -> Result<Step> {
    let Some(Sweep { what, .. }) = &plan.sweep else {
        return Err(Error::new(
            zyklus_connect::ErrorKind::Internal,
            "the cursor is not one of this stream's",
        ));
    };
    let mut step = Step::default();
    let full = match what {
        What::Everything { ids } => {
            let page = walk_page(api, plan.list, plan, json!({}), &mut walk).await?;
            let full = page.items.len() >= plan.take as usize;
            let repeated = usize::from(walk.skip > 0);
            for number in page.marks.iter().filter_map(|m| m.id.parse().ok()) {
                found.insert(number);
            }
            walk.advance(page.marks.iter().map(|m| m.id.clone()).collect());
            step.items = page.items.into_iter().skip(repeated).collect();
            if !full {
                vanished(api, *ids, plan, place, &found, &mut step).await?;
            }
            full
        }
        What::Moves { dates, .. } => {
            let placed = json!({ "orderPlacedAt": { "after": edge } });
            let page = walk_page(api, *dates, plan, placed, &mut walk).await?;
            let full = page.items.len() >= plan.take as usize;
            let moved: Vec<&str> = (page.items.iter().zip(&page.marks))
                .filter(|(item, _)| latest_move(item).is_some_and(|at| at > since))
                .map(|(_, mark)| mark.id.as_str())
                .collect();
            if !moved.is_empty() {
                let named = json!({ "id": { "in": moved } });
                step.items = list(api, plan.list, options(plan, named, "id", 0, plan.take)).await?.items;
            }
            walk.advance(page.marks.into_iter().map(|m| m.id).collect());
            full
        }
    };
    if full {
        pass.phase = Phase::Sweep { since, edge, walk, found };
        place.pass = Some(pass);
    } else {
        place.swept_at = Some(pass.started);
        step.caught_up = true;
    }
    Ok(step)
}

/// The latest date among an order's payments, refunds and fulfilments.
fn latest_move(order: &Value) -> Option<At> {
    fn each<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
        value.get(field).and_then(Value::as_array).into_iter().flatten()
    }
    let payments = || each(order, "payments");
    (payments().chain(payments().flat_map(|p| each(p, "refunds"))).chain(each(order, "fulfillments")))
        .filter_map(|part| part.get("updatedAt")?.as_str()?.parse().ok())
        .max()
}

/// Which known ids are gone. A list read page by page can miss a row while others go, so each missing one is
/// asked for by its id; and a shop that has lost most of its rows at once is not believed.
async fn vanished(
    api: &Api,
    ids: Op,
    plan: &Plan,
    place: &mut Place,
    found: &IdSet,
    step: &mut Step,
) -> Result<()> {
    let Some(known) = place.known.replace(found.clone()) else { return Ok(()) };
    let missing: Vec<u64> = known.minus(found).collect();
    if missing.len() > 20 && missing.len() as u64 > known.len() / 2 {
        step.doubt = Some(format!(
            "{} of {} are gone from the shop's list at once; none is taken for deleted, because a changed \
             channel or permission looks the same",
            missing.len(),
            known.len()
        ));
        return Ok(());
    }
    for chunk in missing.chunks(plan.take as usize) {
        let named: Vec<String> = chunk.iter().map(u64::to_string).collect();
        let filter = json!({ "id": { "in": named } });
        let there = list(api, ids, options(plan, filter, "id", 0, plan.take)).await?;
        let there: Vec<u64> = there.marks.iter().filter_map(|m| m.id.parse().ok()).collect();
        for id in chunk {
            if there.contains(id) {
                if let Some(known) = &mut place.known {
                    known.insert(*id);
                }
            } else {
                step.gone.push(*id);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_seems_to_begin_before_the_last_sweep_counts_as_the_same_instant() {
        let op = || Op::query("{list{items{id}}}", "Authenticated");
        let begins = |every: i64, swept_at: i64, started: i64| {
            let sweep = Sweep { every, what: What::Everything { ids: op() } };
            let plan = Plan { list: op(), filter: json!({}), take: 2, overlap: 0, sweep: Some(sweep) };
            let mut place = Place { swept_at: Some(At::from_micros(swept_at)), ..Place::default() };
            let mut pass = place.begin(At::from_micros(started));
            begin_sweep(&plan, &mut place, &mut pass)
        };
        assert!(begins(0, 1_000, 900), "always, if it is to be always");
        assert!(!begins(500, 1_000, 900));
        assert!(!begins(500, 1_000, 1_499));
        assert!(begins(500, 1_000, 1_500));
    }
}

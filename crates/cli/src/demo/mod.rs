//! `zyklus demo`: a shop to try things on. It is made up by a seeded generator, its history is read as of a
//! fortnight ago, and the days since then are played through on a clock of their own: what arrives, what is
//! decided, what is mailed into a folder. A second run goes on where the first ended, so nothing goes out twice.
//! Never touches a folder it did not make, and never sends anything anywhere.

mod folder;
pub mod shop;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;
use zyklus_engine::Book;
use zyklus_model::{At, CustomerId, Delivery, DeliveryState};
use zyklus_runtime::learn::{learn, learn_if_due};
use zyklus_runtime::{
    Clock, Connectors, Dispatcher, Project, Round, evaluate, open_all, plan, prepare, report, round, sync,
};
use zyklus_store::{DeliveryFilter, OpenOptions, Store};

use crate::commands::{load, open, print};
use crate::told::Told;
use crate::{Failure, registry, show};
use shop::{SEED, Shop, Size};

/// How many of the shop's days are played through.
const DAYS: i64 = 14;
/// How far the clock goes in one step.
const STEP_SECONDS: i64 = 6 * 3_600;
/// Among how many customers one is chosen to be explained.
const CANDIDATES: usize = 50;
/// What the store remembers: the newest instant of the shop, and how far it was played through.
const UNTIL: &str = "demo_until";
const PLAYED: &str = "demo_now";

/// Makes or continues the demo in a folder and shows what came of it.
pub(crate) async fn run(dir: &Path) -> Result<(), Failure> {
    folder::prepare(dir)?;
    let project = load(&dir.join("zyklus.toml"), true)?;
    let store = open(&project, OpenOptions::default()).await?;
    let done = in_store(dir, project, &store).await;
    store.close().await;
    done
}

async fn in_store(dir: &Path, project: Arc<Project>, store: &Store) -> Result<(), Failure> {
    let known = instant(store, UNTIL).await?;
    let until = match known {
        Some(until) => until,
        None => {
            let until = At::from_seconds(Clock::System.now().as_micros() / 1_000_000);
            store.set_meta(UNTIL, &until.to_string()).await?;
            until
        }
    };
    let stays = ["csv", "maildir"];
    if let Some(other) = project.connectors.iter().find(|c| !stays.contains(&c.kind.as_str())) {
        let text = format!(
            "the connector `{}` of type {} could reach other machines, and the demo's clock is not the real \
             one; take it out, or go on with `zyklus run`",
            other.id, other.kind
        );
        return Err(anyhow!(text).into());
    }
    let clock = Clock::fixed(until);
    let connectors = Arc::new(open_all(&project, registry(), &clock).await?);
    let shop = Shop::generate(SEED, until, Size::default());
    let owner = format!("demo-{}-{}", std::process::id(), Clock::System.now().as_micros());
    let play = Play {
        dispatcher: Dispatcher::new(
            store.clone(),
            Arc::clone(&project),
            Arc::clone(&connectors),
            owner,
            clock.clone(),
            CancellationToken::new(),
        ),
        store: store.clone(),
        connectors,
        project,
        clock,
        shop,
        dir: dir.to_path_buf(),
        bar: bar(),
    };
    let done = play.all(until).await;
    play.bar.finish_and_clear();
    play.connectors.close().await;
    done
}

fn bar() -> ProgressBar {
    if std::io::stderr().is_terminal() {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    } else {
        ProgressBar::hidden()
    }
}

async fn instant(store: &Store, name: &str) -> anyhow::Result<Option<At>> {
    let text = store.get_meta(name).await?;
    text.map(|t| t.parse().with_context(|| format!("the store's `{name}`"))).transpose()
}

struct Play {
    dir: PathBuf,
    project: Arc<Project>,
    store: Store,
    connectors: Arc<Connectors>,
    dispatcher: Dispatcher,
    clock: Clock,
    shop: Shop,
    bar: ProgressBar,
}

impl Play {
    async fn all(&self, until: At) -> Result<(), Failure> {
        if let Some((id, error)) = self.connectors.failed.first() {
            return Err(anyhow!("{id}: {error}").into());
        }
        let cut = until.plus_days(-DAYS);
        let (mut now, is_first) = match instant(&self.store, PLAYED).await? {
            Some(played) => (played.min(until), false),
            None => (cut, true),
        };
        if is_first {
            self.history(cut).await?;
        } else {
            let words =
                format!("This folder's shop was played through up to {now} before; going on from there.\n");
            self.say(&words)?;
        }
        let mut book = Arc::new(prepare(&self.store, &self.project, now, true).await?);
        self.store.set_meta(PLAYED, &now.to_string()).await?;
        let (from, mut tally, mut steps) = (now, Round::default(), 0);
        loop {
            now = now.plus_seconds(STEP_SECONDS).min(until);
            self.bar.set_message(format!("{now}: {} mails", tally.handed.sent));
            self.step(&mut book, now, &mut tally).await?;
            self.store.set_meta(PLAYED, &now.to_string()).await?;
            steps += 1;
            if now >= until {
                break;
            }
        }
        self.outcome(from, until, steps, &tally)?;
        self.pictures(&book, until).await
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        self.bar.suspend(|| print(text))
    }

    /// Reads what the shop knew a fortnight ago. It is history: nobody is written to for it.
    async fn history(&self, cut: At) -> Result<(), Failure> {
        self.bar.set_message("reading the shop's history");
        self.clock.set(cut);
        self.shop.write(&self.dir.join("shop"), cut).context("the shop's export cannot be written")?;
        self.sync().await?;
        let learned = learn(&self.store, &self.project, cut).await?;
        let book = prepare(&self.store, &self.project, cut, false).await?;
        let decided = evaluate(&self.store, &book, cut, &|_| {}).await?;
        let counts = self.shop.counts(cut);
        let outbox: u64 = self.store.count_deliveries().await?.values().sum();
        self.say(&format!(
            "{} is a shop that does not exist: tea, coffee, spices and stoneware, its export in {}.\n\n\
             Its history up to {cut} was read: {} customers, {} orders, {} carts, {} reviews, {} visits.\n\
             From {} purchases it was learned who will order again. {} decisions put everybody into a phase. Messages in \
             the outbox: {outbox}. Connecting a shop mails nobody; only what happens from now on does.\n",
            shop::NAME,
            self.dir.join("shop").display(),
            counts.customers,
            counts.orders,
            counts.carts,
            counts.feedback,
            counts.events,
            learned.map_or(0, |learned| learned.purchases),
            decided.evaluated,
        ))
    }

    /// One step of the clock: what the shop knows by then arrives, is decided on and handed over.
    async fn step(&self, book: &mut Arc<Book>, now: At, tally: &mut Round) -> anyhow::Result<()> {
        self.clock.set(now);
        self.shop.write(&self.dir.join("shop"), now).context("the shop's export cannot be written")?;
        self.sync().await?;
        *book = learn_if_due(&self.store, &self.project, book, now).await?;
        *tally += round(&self.store, book, &self.dispatcher, &self.clock).await?;
        Ok(())
    }

    /// Reads what is new; the demo's own shop must be readable without a gap.
    async fn sync(&self) -> anyhow::Result<()> {
        for source in self.connectors.sources() {
            let report = sync(&self.store, source, &self.project, &self.clock, &|_| {}).await;
            for stream in report.streams {
                if let Some(error) = stream.error {
                    bail!("{} {}: {error}", report.connector, stream.stream);
                }
                if let Some(reject) = stream.rejects.first() {
                    bail!(
                        "{} {}: {} records rejected: {reject}",
                        report.connector,
                        stream.stream,
                        stream.rejected
                    );
                }
            }
        }
        Ok(())
    }

    fn outcome(&self, from: At, until: At, steps: u32, tally: &Round) -> Result<(), Failure> {
        let maildir = self.dir.join("mail");
        let mails = folder::mails(&maildir);
        let (decided, handed) = (tally.decided, tally.handed);
        let days = if from == until {
            "There is nothing left to play through".to_owned()
        } else {
            format!("Then the days from {from} to {until} were played through in {steps} steps")
        };
        let mut text = format!(
            "\n{days}: {} decisions, {} moves between phases, {} journeys started, {} mails sent.\n\
             {mails} mails lie in {}; open it with any mail program.\n",
            decided.evaluated,
            decided.moves,
            decided.started,
            handed.sent,
            maildir.display()
        );
        for (count, state) in [(handed.failed, "failed"), (handed.unknown, "unknown")] {
            if count > 0 {
                text += &format!("{count} messages are {state}: `zyklus delivery list --state {state}`\n");
            }
        }
        self.say(&text)
    }

    /// The phase table, one customer explained, the plan, and what to try next.
    async fn pictures(&self, book: &Book, until: At) -> Result<(), Failure> {
        self.bar.set_message("counting");
        let figures = report(&self.store, &self.project, book, until).await?;
        self.say(&format!("\nWhere everybody stands ({})\n{}\n", figures.lifecycle, show::phases(&figures)))?;
        let filter = DeliveryFilter {
            state: Some(DeliveryState::Accepted),
            limit: u32::MAX,
            ..DeliveryFilter::default()
        };
        let sent = self.store.deliveries(&filter).await?;
        let mut by_target: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for delivery in &sent {
            *by_target.entry((&delivery.journey, &delivery.target)).or_default() += 1;
        }
        self.say(&format!("\nWhat was sent\n{}\n", show::counts(&["journey", "mail", "sent"], &by_target)))?;
        let mut name = "CUSTOMER".to_owned();
        let candidates = self.store.snapshots(&most_written_to(&sent)).await?;
        let explained: Vec<_> = candidates.iter().map(|s| (s, Told::new(book, s, until))).collect();
        // Somebody a journey has plans for tells more.
        let telling = explained.iter().find(|(_, told)| !told.why.inside.is_empty()).or(explained.first());
        if let Some((snapshot, explained)) = telling {
            let customer = &snapshot.customer;
            name = customer.email.as_ref().map_or_else(|| customer.id.to_string(), |e| e.as_str().to_owned());
            self.say(&format!(
                "\nWhy {name} stands where they stand\n{}",
                show::why(explained, &self.project.shop.zone)
            ))?;
        }
        let planned = plan(&self.store, book, until, 3).await?;
        self.say(&format!(
            "\nWhat comes next\n{}",
            show::plan(&planned, &BTreeMap::new(), &self.project.shop.zone)
        ))?;
        let dir = self.dir.display();
        self.say(&format!(
            "\nTry next, in {dir}:\n\
             \x20 zyklus report               all figures: moves, repeat rate, cohorts\n\
             \x20 zyklus why {name}\n\
             \x20 zyklus delivery list        every message, sent or waiting\n\
             \x20 change a phase in lifecycles/ecommerce.toml or a journey in playbooks/, then\n\
             \x20 zyklus check                names every mistake with its place\n\
             \x20 zyklus plan                 says what your change would do, and changes nothing\n\
             \x20 zyklus run                  goes on with the real clock, until Ctrl-C\n"
        ))
    }
}

/// Who got the most mails; among equals, whose last one is newest.
fn most_written_to(sent: &[Delivery]) -> Vec<CustomerId> {
    let mut by_customer: BTreeMap<CustomerId, (usize, Option<At>)> = BTreeMap::new();
    for delivery in sent {
        let entry = by_customer.entry(delivery.customer).or_default();
        *entry = (entry.0 + 1, entry.1.max(delivery.done_at));
    }
    let mut ids: Vec<CustomerId> = by_customer.keys().copied().collect();
    ids.sort_by_key(|id| std::cmp::Reverse((by_customer[id], *id)));
    ids.truncate(CANDIDATES);
    ids
}

//! What each command does: reads the configuration, opens what it needs, calls the runtime, prints the result.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use indicatif::ProgressBar;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zyklus_connect::{Mode, ReadRequest};
use zyklus_engine::why;
use zyklus_host::ConfigOptions;
use zyklus_model::{CustomerId, DeliveryId, DeliveryState};
use zyklus_runtime::daemon::Daemon;
use zyklus_runtime::{
    Clock, Project, Reload, book_for_reading, evaluate, open_all, plan, prepare, report, starter_files, sync,
};
use zyklus_store::{DeliveryFilter, OpenOptions, Store};

use crate::args::{Args, Command, ConnectorCommand, CustomerCommand, DbCommand, DeliveryCommand, Now};
use crate::problems::rendered;
use crate::{Failure, as_of, customer, registry, show};

pub(crate) type Done = Result<(), Failure>;

/// How many customers are listed at most.
const MOST_FOUND: u32 = 50;

pub(crate) const NOBODY: &str = "there is no such customer; `zyklus customer find TEXT` looks further";

pub(crate) async fn run(args: Args) -> Done {
    let config = args.config.as_path();
    match args.command {
        Command::Init { folder } => init(&folder),
        Command::Demo { dir } => crate::demo::run(&dir).await,
        Command::Check => check(config),
        Command::Test { name, json } => crate::playtests::test(config, name.as_deref(), json),
        Command::Sync { now, json } => sync_all(config, now, json).await,
        Command::Run => run_daemon(config).await,
        Command::Plan { now, json, fail_above } => plan_all(config, now, json, fail_above).await,
        Command::Backtest(args) => crate::backtest::run(config, args).await,
        Command::Why { customer, as_of: Some(at), json, .. } => {
            as_of::explain(config, &customer, at, json).await
        }
        Command::Why { customer, now, json, .. } => explain(config, &customer, now, json).await,
        Command::Report { as_of: Some(at), json, .. } => as_of::figures(config, at, json).await,
        Command::Report { now, json, .. } => figures(config, now, json).await,
        Command::Customer(CustomerCommand::Show { customer, as_of: Some(at) }) => {
            as_of::show_customer(config, &customer, at).await
        }
        Command::Customer(command) => customers(config, command).await,
        Command::Delivery(command) => delivery(config, command).await,
        Command::Connector(command) => connector(config, command).await,
        Command::Plugin(command) => crate::plugins::run(config, command),
        Command::Schema { file } => print(&crate::schema::of(&file)),
        Command::Db(command) => db(config, command).await,
    }
}

pub(crate) fn print(text: &str) -> Done {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read along (`| head`) has had enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

pub(crate) fn print_json<T: serde::Serialize>(value: &T) -> Done {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

fn base_dir(config: &Path) -> &Path {
    config.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads the configuration; says every mistake. With `secrets`, they are fetched.
pub(crate) fn load(config: &Path, secrets: bool) -> Result<Arc<Project>, Failure> {
    let base_dir = base_dir(config);
    let mut options = ConfigOptions::new(base_dir);
    options.resolve_secrets = secrets;
    match Project::load(config, &registry(), &options) {
        Ok(project) => Ok(Arc::new(project)),
        Err(problems) => {
            for problem in &problems {
                eprintln!("{}", rendered(problem, base_dir));
            }
            let plural = if problems.len() == 1 { "" } else { "s" };
            eprintln!("zyklus: {} mistake{plural} in the configuration; nothing was done", problems.len());
            Err(Failure::Configuration)
        }
    }
}

pub(crate) async fn open(project: &Project, options: OpenOptions) -> Result<Store, Failure> {
    if project.store_url.is_empty() {
        let message =
            "the store's address is not where [store] url says; `zyklus check` says what is missing";
        return Err(anyhow!(message).into());
    }
    let store =
        Store::open(&project.store_url, options.clone()).await.context("the store cannot be opened")?;
    if !options.read_only {
        store.migrate().await.context("the store cannot be brought up to this version")?;
    }
    Ok(store)
}

fn init(folder: &Path) -> Done {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = starter_files();
    if let Some((path, _)) = files.iter().find(|(path, _)| folder.join(path).exists()) {
        return Err(anyhow!("{} exists already; nothing was written", folder.join(path).display()).into());
    }
    for (path, bytes) in &files {
        write_file(&folder.join(path), bytes)?;
    }
    print(&format!(
        "{} files written. Now fill in zyklus.toml, then run `zyklus check` and `zyklus sync`.\n",
        files.len()
    ))
}

/// Writes a file, and the folder it lies in.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn check(config: &Path) -> Done {
    let project = load(config, false)?;
    for warning in &project.warnings {
        eprintln!("{}", rendered(warning, &project.base_dir));
    }
    let tests = crate::playtests::checked(&project)?;
    print(&format!(
        "The configuration is sound: lifecycle {} with {} phases, {} journeys, {} templates, {} connectors; {tests}.\n",
        project.book.lifecycle.id,
        project.book.lifecycle.phases.len(),
        project.book.journeys.len(),
        project.templates.names().len(),
        project.connectors.len()
    ))?;
    // Worth a line, because it is chosen and not given.
    match project.book.settings.holdout.share {
        0 => print(
            "Nobody is held out of all marketing; [holdout] in zyklus.toml is how to see what marketing does.\n",
        )?,
        share => print(&format!("{share} % of all customers get no marketing, to compare with.\n"))?,
    }
    match project.connectors.iter().filter(|c| c.settings.enabled && c.failed.is_some()).count() {
        0 => Ok(()),
        failed => {
            eprintln!("zyklus: {failed} of the connectors cannot be loaded, see above");
            Err(Failure::No)
        }
    }
}

fn clock(now: Option<Now>, project: &Project) -> Clock {
    now.map_or(Clock::System, |now| Clock::fixed(now.at(&project.shop.zone)))
}

async fn sync_all(config: &Path, now: Option<Now>, json: bool) -> Done {
    let project = load(config, true)?;
    let store = open(&project, OpenOptions::default()).await?;
    let clock = clock(now, &project);
    let connectors = open_all(&project, registry(), &clock).await?;
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let mut reports = Vec::new();
    for source in connectors.sources() {
        let report = sync(&store, source, &project, &clock, &|p| {
            let total = p.total.map_or(String::new(), |t| format!(" of {t}"));
            bar.set_message(format!("{} {}: {}{total}", p.connector, p.stream, p.records));
            bar.tick();
        })
        .await;
        reports.push(report);
    }
    bar.set_message("deciding");
    let book = prepare(&store, &project, clock.now(), false).await?;
    let decided = evaluate(&store, &book, clock.now(), &|_| bar.tick()).await?;
    bar.finish_and_clear();
    connectors.close().await;
    store.close().await;
    if json {
        print_json(
            &serde_json::json!({ "connectors": reports, "evaluated": decided, "failed": connectors.failed }),
        )?;
    } else {
        let mut text = String::new();
        for (connector, stream) in
            reports.iter().flat_map(|r| r.streams.iter().map(move |s| (&r.connector, s)))
        {
            text += &format!(
                "{connector} {}: {} records, {} changed, {} new customers, {} rejected\n",
                stream.stream, stream.records, stream.changed, stream.new_customers, stream.rejected
            );
            for reject in &stream.rejects {
                text += &format!("  rejected {reject}\n");
            }
            for (currency, count) in &stream.unrated {
                text += &format!("  {count} amounts in {currency}: add {currency} to [rates]\n");
            }
            if let Some(error) = &stream.error {
                text += &format!("  stopped: {error}\n");
            }
        }
        text += &format!("{} decisions, {} moves\n", decided.evaluated, decided.moves);
        if reports.is_empty() && connectors.failed.is_empty() {
            text += "no connector reads a shop: add one to zyklus.toml, for example with type = \"csv\"\n";
        }
        let rejected: u64 = reports.iter().flat_map(|r| &r.streams).map(|s| s.rejected).sum();
        if rejected > 0 {
            text += &format!(
                "{rejected} rows rejected, see connectors/<connector>/rejects/<stream>.csv beside the configuration \
                 (or the folder its `rejects` names)\n"
            );
        }
        print(&text)?;
    }
    for (id, error) in &connectors.failed {
        eprintln!("zyklus: {id}: {error}");
    }
    // A stream of which nothing could be used was not read, whatever its cursor says.
    let useless = |s: &zyklus_runtime::StreamReport| s.rejected > 0 && s.records + s.changed == 0;
    let complete = connectors.failed.is_empty()
        && reports.iter().all(|r| r.is_complete() && !r.streams.iter().any(useless));
    if complete { Ok(()) } else { Err(Failure::No) }
}

async fn run_daemon(config: &Path) -> Done {
    let project = load(config, true)?;
    let store = open(&project, OpenOptions::default()).await?;
    let clock = Clock::System;
    let connectors = Arc::new(open_all(&project, registry(), &clock).await?);
    // The first sync is history; journeys begin after it.
    let book = Arc::new(prepare(&store, &project, clock.now(), true).await?);
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        stopped().await;
        asked.cancel();
    });
    let owner = format!("{}-{}", std::process::id(), clock.now().as_micros());
    // A plugin's process has the same user: it shall not read our memory or environment.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).ok();
    let daemon = Daemon {
        project,
        store: store.clone(),
        connectors: Arc::clone(&connectors),
        book,
        clock,
        owner,
        reload: Some(reload(config)),
    };
    tracing::info!("running");
    daemon.run(stop).await;
    connectors.close().await;
    store.close().await;
    Ok(())
}

/// Reads the configuration again, and is asked to by SIGHUP.
fn reload(config: &Path) -> Reload {
    let asked = Arc::new(Notify::new());
    let told = Arc::clone(&asked);
    tokio::spawn(async move {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
            Ok(mut hangup) => {
                while hangup.recv().await.is_some() {
                    told.notify_one();
                }
            }
            Err(error) => tracing::error!(%error, "SIGHUP cannot be waited for"),
        }
    });
    let config = config.to_path_buf();
    let read = move || {
        let mut options = ConfigOptions::new(base_dir(&config));
        options.resolve_secrets = true;
        Project::load(&config, &registry(), &options)
    };
    Reload { asked, read: Arc::new(read) }
}

/// Ctrl-C, or SIGTERM from whoever supervises us.
async fn stopped() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be waited for");
            drop(tokio::signal::ctrl_c().await);
            return;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn plan_all(config: &Path, now: Option<Now>, json: bool, fail_above: Option<u64>) -> Done {
    let project = load(config, false)?;
    let store = open(&project, OpenOptions::reading()).await?;
    let book = book_for_reading(&store, &project).await?;
    let planned = plan(&store, &book, clock(now, &project).now(), 3).await?;
    let addresses = addresses(&store, &planned).await?;
    store.close().await;
    if json {
        print_json(&planned)?
    } else {
        print(&show::plan(&planned, &addresses, &project.shop.zone))?
    }
    match fail_above {
        Some(most) if planned.due_24h > most => {
            eprintln!("zyklus: {} messages are due within 24 hours, more than {most}", planned.due_24h);
            Err(Failure::No)
        }
        _ => Ok(()),
    }
}

/// The e-mail addresses of the customers a plan names as samples.
async fn addresses(
    store: &Store,
    planned: &zyklus_runtime::Plan,
) -> Result<BTreeMap<CustomerId, String>, Failure> {
    let moves = planned.moves.iter().flat_map(|row| &row.samples);
    let starts = planned.starts.iter().flat_map(|row| &row.samples);
    let messages = planned.messages.iter().flat_map(|row| &row.samples);
    let ids: std::collections::BTreeSet<CustomerId> = moves.chain(starts).chain(messages).copied().collect();
    let found = store.snapshots(&ids.into_iter().collect::<Vec<_>>()).await?;
    let address = |s: zyklus_model::Snapshot| Some((s.customer.id, s.customer.email?.as_str().to_owned()));
    Ok(found.into_iter().filter_map(address).collect())
}

/// The one customer a text names.
pub(crate) async fn one_customer(store: &Store, text: &str) -> Result<CustomerId, Failure> {
    let found = store.find_customers(text, 3).await?;
    match found.as_slice() {
        [customer] => Ok(customer.id),
        [] => Err(anyhow!(NOBODY).into()),
        _ => Err(anyhow!("several customers fit `{text}`; `zyklus customer find` lists them").into()),
    }
}

async fn explain(config: &Path, text: &str, now: Option<Now>, json: bool) -> Done {
    let project = load(config, false)?;
    let store = open(&project, OpenOptions::reading()).await?;
    let book = book_for_reading(&store, &project).await?;
    let id = one_customer(&store, text).await?;
    let snapshot = store.snapshots(&[id]).await?.into_iter().next().ok_or_else(|| anyhow!(NOBODY))?;
    store.close().await;
    let explained = why(&book, &snapshot, clock(now, &project).now());
    if json { print_json(&explained) } else { print(&show::why(&explained, &project.shop.zone)) }
}

async fn figures(config: &Path, now: Option<Now>, json: bool) -> Done {
    let project = load(config, false)?;
    let store = open(&project, OpenOptions::reading()).await?;
    let book = book_for_reading(&store, &project).await?;
    let figures = report(&store, &project, &book, clock(now, &project).now()).await?;
    store.close().await;
    if json { print_json(&figures) } else { print(&show::report(&figures, &project.shop.zone)) }
}

async fn customers(config: &Path, command: CustomerCommand) -> Done {
    let project = load(config, false)?;
    let store = open(&project, OpenOptions::reading()).await?;
    let done = match command {
        CustomerCommand::Find { text, json } => {
            let mut found = store.find_customers(&text, MOST_FOUND + 1).await?;
            if found.len() > MOST_FOUND as usize {
                found.truncate(MOST_FOUND as usize);
                eprintln!("zyklus: more than {MOST_FOUND} fit `{text}`; the first {MOST_FOUND} are shown");
            }
            if json {
                print_json(&found)
            } else if found.is_empty() {
                Err(anyhow!("nobody fits `{text}`").into())
            } else {
                let line = |c: &zyklus_model::Customer| {
                    let name = [c.first_name.as_deref(), c.last_name.as_deref()];
                    let name = name.into_iter().flatten().collect::<Vec<_>>().join(" ");
                    format!("{}  {}  {name}\n", c.id, c.email.as_ref().map_or("–", |e| e.as_str()))
                };
                print(&found.iter().map(line).collect::<String>())
            }
        }
        CustomerCommand::Show { customer, .. } => {
            let id = one_customer(&store, &customer).await?;
            print_json(&store.snapshots(&[id]).await?)
        }
        CustomerCommand::Suppress { .. }
        | CustomerCommand::Unsuppress { .. }
        | CustomerCommand::Consent { .. } => {
            store.close().await;
            return customer::record(&project, command).await;
        }
    };
    store.close().await;
    done
}

async fn delivery(config: &Path, command: DeliveryCommand) -> Done {
    let project = load(config, false)?;
    let id_of = |text: &str| text.parse::<DeliveryId>().map_err(anyhow::Error::from);
    match command {
        DeliveryCommand::List { state, limit, json } => {
            let state = match state {
                None => None,
                Some(word) => Some(DeliveryState::parse(&word).ok_or_else(|| {
                    let known: Vec<&str> = DeliveryState::ALL.iter().map(|s| s.as_str()).collect();
                    anyhow!("`{word}` is no state; known are {}", known.join(", "))
                })?),
            };
            let store = open(&project, OpenOptions::reading()).await?;
            let filter = DeliveryFilter {
                state,
                newest_first: state.is_none(),
                limit: limit.saturating_add(1),
                ..DeliveryFilter::default()
            };
            let mut found = store.deliveries(&filter).await?;
            store.close().await;
            if found.len() > limit as usize {
                found.truncate(limit as usize);
                eprintln!("zyklus: there are more than {limit}; --limit shows more, --state fewer kinds");
            }
            if json {
                return print_json(&found);
            }
            let line = |d: &zyklus_model::Delivery| {
                let reason = d.reason.map_or(String::new(), |r| format!(" ({r})"));
                format!(
                    "{}  {}  {}  {}/{}  {}{reason}\n",
                    d.id, d.due_at, d.state, d.journey, d.target, d.customer
                )
            };
            print(&found.iter().map(line).collect::<String>())
        }
        DeliveryCommand::Show { id } => {
            let id = id_of(&id)?;
            let store = open(&project, OpenOptions::reading()).await?;
            let found = store.delivery(id).await?;
            store.close().await;
            let (delivery, attempts) = found.ok_or_else(|| anyhow!("there is no delivery {id}"))?;
            print_json(&serde_json::json!({ "delivery": delivery, "attempts": attempts }))
        }
        DeliveryCommand::Retry { id: Some(id), .. } => {
            let id = id_of(&id)?;
            let store = by_hand(&project).await?;
            let done = store.retry_delivery(id, Clock::System.now(), "operator").await?;
            store.close().await;
            if done {
                return print("It goes out again within half a minute of a running daemon.\n");
            }
            Err(anyhow!("{id} has not failed; `zyklus delivery show {id}` says where it stands").into())
        }
        DeliveryCommand::Retry { id: None, state, journey } => {
            let store = by_hand(&project).await?;
            let state = state.as_deref().and_then(DeliveryState::parse);
            let now = Clock::System.now();
            let count = store.retry_deliveries(state, journey.as_deref(), now, "operator").await?;
            store.close().await;
            print(&format!("{count} deliveries go out again, as far as the guards still let them.\n"))
        }
        DeliveryCommand::Cancel { id } => {
            let id = id_of(&id)?;
            let store = by_hand(&project).await?;
            let done = store.cancel_delivery(id, Clock::System.now(), "operator").await?;
            store.close().await;
            if done {
                return print("It is withdrawn.\n");
            }
            Err(anyhow!("{id} is not waiting; `zyklus delivery show {id}` says where it stands").into())
        }
    }
}

/// The store, for single writes beside a daemon that may be running.
pub(crate) async fn by_hand(project: &Project) -> Result<Store, Failure> {
    Ok(Store::open(&project.store_url, OpenOptions::by_hand()).await.context("the store cannot be opened")?)
}

async fn connector(config: &Path, command: ConnectorCommand) -> Done {
    let live = !matches!(command, ConnectorCommand::List);
    let project = load(config, live)?;
    if !live {
        let known = registry();
        let line = |c: &zyklus_host::ConnectorConfig| {
            if let Some(failed) = c.failed.as_ref().filter(|_| c.settings.enabled) {
                return format!("{}  {}  failed: {}\n", c.id, c.kind, failed.reason);
            }
            let manifest = c.manifest(&known);
            let streams = manifest.map_or(String::new(), |m| {
                m.streams.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
            });
            let state = if c.settings.enabled { "" } else { " (disabled)" };
            format!("{}  {}{state}  {streams}\n", c.id, c.kind)
        };
        return print(&project.connectors.iter().map(line).collect::<String>());
    }
    let connectors = open_all(&project, registry(), &Clock::System).await?;
    let failed: BTreeMap<&str, &str> =
        connectors.failed.iter().map(|(id, error)| (id.as_str(), error.as_str())).collect();
    let done = match &command {
        ConnectorCommand::List => Ok(()),
        ConnectorCommand::Check { id } => {
            let mut is_well = true;
            let wanted = |name: &str| id.as_deref().is_none_or(|id| id == name);
            for (name, error) in failed.iter().filter(|(name, _)| wanted(name)) {
                is_well = false;
                print(&format!("{name}: {error}\n"))?;
            }
            for opened in connectors.opened.iter().filter(|c| wanted(c.id())) {
                for check in opened.check().await {
                    let problem = check.problem.as_ref().map(|problem| match &problem.detail {
                        Some(detail) => format!("{problem} ({detail})"),
                        None => problem.to_string(),
                    });
                    is_well &= problem.is_none();
                    let words =
                        problem.map_or_else(|| format!("fine: {}", check.found), |p| format!("failed: {p}"));
                    print(&format!("{} · {}: {words}\n", opened.id(), check.name))?;
                }
            }
            if is_well { Ok(()) } else { Err(Failure::No) }
        }
        ConnectorCommand::Read { id, stream, limit } => {
            if let Some(error) = failed.get(id.as_str()) {
                return Err(anyhow!("{id}: {error}").into());
            }
            let opened = connectors.find(id).ok_or_else(|| anyhow!("there is no connector `{id}`"))?;
            let request = ReadRequest {
                stream: stream.clone(),
                cursor: None,
                mode: Mode::Backfill { from: None },
                limit: *limit,
            };
            let page = opened.read(request).await?;
            for record in page.records.iter().take(*limit as usize) {
                print(&format!("{}\n", serde_json::to_string(record)?))?;
            }
            for reject in &page.rejects {
                eprintln!("rejected {}: {}", reject.place, reject.message);
            }
            Ok(())
        }
    };
    connectors.close().await;
    done
}

async fn db(config: &Path, command: DbCommand) -> Done {
    let project = load(config, false)?;
    match command {
        DbCommand::Migrate => {
            let store = Store::open(&project.store_url, OpenOptions::default()).await?;
            let version = store.migrate().await?;
            store.close().await;
            print(&format!("The store has version {version}.\n"))
        }
        DbCommand::Backup { to } => {
            let store = open(&project, OpenOptions::reading()).await?;
            store.backup(&to).await?;
            store.close().await;
            print(&format!("Written to {}.\n", to.display()))
        }
        DbCommand::Restore { from } => {
            let restored = Store::restore_at(&from, &project.store_url, Clock::System.now()).await?;
            print(&show::restored(&restored))
        }
    }
}

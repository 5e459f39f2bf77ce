//! What each command does: reads the configuration, opens what it needs, calls the runtime, prints the result.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zyklus_engine::{Book, Problem};
use zyklus_host::ConfigOptions;
use zyklus_model::{At, CustomerId, DeliveryId, DeliveryState, Snapshot};
use zyklus_runtime::daemon::Daemon;
use zyklus_runtime::{Clock, Project, Reload, book_for_reading, open_all, plan_from, prepare, starter_files};
use zyklus_store::{DeliveryFilter, OpenOptions, Store};

use crate::args::{Args, Command, CustomerCommand, DbCommand, DeliveryCommand, Now};
use crate::memory;
use crate::problems::{mistakes, rendered};
use crate::report::Form;
use crate::told::Told;
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
        Command::Check { json } => crate::check::run(config, json),
        Command::Test { name, json } => crate::playtests::test(config, name.as_deref(), json),
        Command::Sync { now, json } => crate::sync::run(config, now, json).await,
        Command::Run => run_daemon(config).await,
        Command::Plan { now, json, fail_above } => plan_all(config, now, json, fail_above).await,
        Command::Backtest(args) => crate::backtest::run(config, args).await,
        Command::Why { customer, as_of: Some(at), json, .. } => {
            as_of::explain(config, &customer, at, json).await
        }
        Command::Why { customer, now, json, .. } => explain(config, &customer, now, json).await,
        Command::Report { as_of: Some(at), json, html, .. } => {
            as_of::figures(config, at, Form::of(json, html)).await
        }
        Command::Report { now, json, html, .. } => {
            crate::report::figures(config, now, Form::of(json, html)).await
        }
        Command::Insight(command) => crate::insight::run(config, command).await,
        Command::Customer(CustomerCommand::Show { customer, as_of: Some(at) }) => {
            as_of::show_customer(config, &customer, at).await
        }
        Command::Customer(command) => customers(config, command).await,
        Command::Delivery(command) => delivery(config, command).await,
        Command::Connector(command) => crate::connectors::run(config, command).await,
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

/// The folder a configuration file stands in.
pub(crate) fn base_dir(config: &Path) -> &Path {
    match config.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Reads the configuration. With `secrets`, they are fetched.
pub(crate) fn read(config: &Path, secrets: bool) -> Result<Project, Vec<Problem>> {
    let mut options = ConfigOptions::new(base_dir(config));
    options.resolve_secrets = secrets;
    Project::load(config, &registry(), &options)
}

/// Reads the configuration; says every mistake. With `secrets`, they are fetched.
pub(crate) fn load(config: &Path, secrets: bool) -> Result<Arc<Project>, Failure> {
    match read(config, secrets) {
        Ok(project) => Ok(Arc::new(project)),
        Err(problems) => {
            for problem in &problems {
                eprintln!("{}", rendered(problem, base_dir(config)));
            }
            eprintln!("zyklus: {} in the configuration; nothing was done", mistakes(&problems));
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

pub(crate) fn clock(now: Option<Now>, project: &Project) -> Clock {
    now.map_or(Clock::System, |now| Clock::fixed(now.at(&project.shop.zone)))
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
        give_back: memory::give_back,
    };
    memory::without_huge_pages();
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
    let at = clock(now, &project).now();
    let planned = plan_from(&store, &book, Clock::System.now(), at, 3).await?;
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
    tell(&book, &snapshot, clock(now, &project).now(), &project, json)
}

/// Prints why a customer stands where they stand, and which message reaches them next.
pub(crate) fn tell(book: &Book, snapshot: &Snapshot, at: At, project: &Project, json: bool) -> Done {
    let told = Told::new(book, snapshot, at);
    if json { print_json(&told) } else { print(&show::why(&told, &project.shop.zone)) }
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
            let line = |d: &zyklus_model::Delivery| show::delivery(d, &project.shop.zone);
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

//! What an operator does around a daemon: starts it, kills it, waits, looks at what the store says. Tests decide
//! what is right.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use zyklus_model::{At, Attempt, Delivery, DeliveryState, Snapshot};
use zyklus_store::{DeliveryFilter, OpenOptions, Store, StoredCursor};
use zyklus_tests::process::Running;
use zyklus_tests::zyklus::Zyklus;

/// How long anything may take on a busy machine before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

/// Waits until `look` finds something; then returns it.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until these streams have been read to their end once: what comes then is news.
pub(crate) async fn caught_up(url: &str, streams: &[&str]) {
    until("the history is read", async || {
        let cursors = Seen::at(url).await?.cursors;
        let is_read =
            |stream: &&str| cursors.iter().any(|c| c.stream == **stream && c.caught_up_at.is_some());
        streams.iter().all(is_read).then_some(())
    })
    .await;
}

/// Now, as the daemon sees it.
pub(crate) fn now() -> At {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    At::from_micros(i64::try_from(since.as_micros()).unwrap())
}

/// A shop of files, looked at every second.
pub(crate) const FILES: &str = "[connectors.files]\ntype = \"csv\"\nsync_every = \"1s\"\n\
                                [connectors.files.orders]\npath = \"orders.csv\"\ncurrency = \"EUR\"\n";

/// Adds to a file; one that is not there begins with the head of the orders.
pub(crate) fn append(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    if !path.exists() {
        std::fs::write(&path, "id,email,placed_at,total\n").unwrap();
    }
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// One line of `orders.csv`: somebody buys now.
pub(crate) fn order(name: &str) -> String {
    format!("{name},{name}@example.com,{},30.00\n", now())
}

/// What `zyklus delivery list` says.
pub(crate) async fn listed(zyklus: &Zyklus) -> Vec<Delivery> {
    let told = zyklus.succeed(&["delivery", "list", "--limit", "10000", "--json"]).await.unwrap();
    serde_json::from_str(&told).unwrap()
}

/// What the store says, read beside whoever writes to it.
pub(crate) struct Seen {
    /// Everybody.
    pub(crate) people: Vec<Snapshot>,
    /// Every delivery with its tries.
    pub(crate) deliveries: Vec<(Delivery, Vec<Attempt>)>,
    /// How far reading has come.
    pub(crate) cursors: Vec<StoredCursor>,
}

impl Seen {
    /// Looks at a store; nothing as long as there is none.
    pub(crate) async fn at(url: &str) -> Option<Self> {
        let store = Store::open(url, OpenOptions::reading()).await.ok()?;
        let ids = store.customer_ids(None, 100_000).await.unwrap();
        let mut people = Vec::with_capacity(ids.len());
        for some in ids.chunks(1_000) {
            people.extend(store.snapshots(some).await.unwrap());
        }
        let all = DeliveryFilter { limit: 100_000, ..DeliveryFilter::default() };
        let mut deliveries = Vec::new();
        for delivery in store.deliveries(&all).await.unwrap() {
            deliveries.push(store.delivery(delivery.id).await.unwrap().unwrap());
        }
        let cursors = store.cursors().await.unwrap();
        store.close().await;
        Some(Self { people, deliveries, cursors })
    }

    /// How many orders are known.
    pub(crate) fn orders(&self) -> usize {
        self.people.iter().map(|person| person.orders.len()).sum()
    }

    /// Deliveries in a state.
    pub(crate) fn count(&self, state: DeliveryState) -> usize {
        self.deliveries.iter().filter(|(delivery, _)| delivery.state == state).count()
    }

    /// Whether nothing waits and nothing is being sent.
    pub(crate) fn is_quiet(&self) -> bool {
        self.count(DeliveryState::Pending) + self.count(DeliveryState::Sending) == 0
    }
}

/// A daemon that is started again and again, each time with a log of its own.
pub(crate) struct Lives<'a> {
    zyklus: &'a Zyklus,
    folder: PathBuf,
    count: usize,
}

impl<'a> Lives<'a> {
    pub(crate) fn new(zyklus: &'a Zyklus, folder: &Path) -> Self {
        Self { zyklus, folder: folder.to_owned(), count: 0 }
    }

    /// Starts it. That it runs does not mean that it is ready.
    pub(crate) fn start(&mut self) -> Running {
        self.count += 1;
        let log = self.folder.join(format!("daemon-{}.log", self.count));
        self.zyklus.spawn(&["run"], &log).unwrap()
    }

    /// Starts it and waits until it works.
    pub(crate) async fn begin(&mut self) -> Running {
        let mut daemon = self.start();
        daemon.ready(PATIENCE, |printed| printed.contains("running")).await.unwrap();
        daemon
    }
}

/// Kills it at once, as a power cut would. What it had said is shown when the test fails.
pub(crate) async fn kill(mut daemon: Running) {
    daemon.signal(Signal::KILL);
    let status = daemon.wait(PATIENCE).await.unwrap();
    assert!(status.code().is_none(), "it ended by itself, {status}\n{}", daemon.printed());
    eprintln!("--- killed\n{}", daemon.printed());
}

/// Numbers drawn from a seed, which is shown when the test fails and can be given as `ZYKLUS_TEST_SEED`.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new() -> Self {
        let given = std::env::var("ZYKLUS_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = given.unwrap_or(u64::from(since.subsec_nanos()));
        eprintln!("ZYKLUS_TEST_SEED={seed}");
        Self(seed)
    }

    /// A time below `limit` milliseconds (splitmix64).
    pub(crate) fn below(&mut self, limit: u64) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Duration::from_millis((z ^ (z >> 31)) % limit)
    }
}

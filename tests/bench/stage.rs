//! A shop with the starter configuration and a store full of invented customers, on which steps are measured.
//! Setting it is never part of what is timed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use zyklus_cli::registry;
use zyklus_host::ConfigOptions;
use zyklus_model::{At, Currency, Origin, Rates};
use zyklus_runtime::{Project, starter_files};
use zyklus_store::{Ingest, OpenOptions, Store};

use crate::people::Person;
use crate::step::{Figures, Step};
use crate::system::say;

/// The instant as of which everybody is evaluated; everything invented happened before.
pub(crate) const NOW: i64 = 1_767_225_600;
/// Records a transaction while the store is filled.
const PAGE: usize = 5_000;

/// The shop of the starter configuration; a connector for its orders, and mails into a folder.
const CONFIG: &str = r#"
[shop]
name = "Teehaus"
url = "https://teehaus.example"
currency = "EUR"
locale = "de"
time_zone = "Europe/Berlin"
legal_name = "Teehaus GmbH"
address_lines = ["Am Markt 1", "20095 Hamburg"]
email = "hallo@teehaus.example"

[connectors.shop]
type = "csv"
sync_every = "1m"
[connectors.shop.orders]
path = "orders.csv"
currency = "EUR"
[connectors.shop.orders.map]
id = "id"
email = "email"
placed_at = "placed_at"
total = "total"

[connectors.mail]
type = "maildir"
path = "mail"
"#;

/// A configuration folder and a store for it.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: PathBuf,
    url: String,
    customers: u64,
}

/// Writes the configuration; its file.
pub(crate) fn write_config(folder: &Path) -> Result<PathBuf> {
    for (path, bytes) in starter_files() {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, bytes)?;
    }
    let file = folder.join("zyklus.toml");
    std::fs::write(&file, CONFIG)?;
    Ok(file)
}

/// Reads a configuration.
pub(crate) fn load(file: &Path) -> Result<Arc<Project>> {
    let base = file.parent().unwrap_or(Path::new("."));
    Project::load(file, &registry(), &ConfigOptions::new(base)).map(Arc::new).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("{}: {}", file.display(), lines.join("; "))
    })
}

impl Stage {
    /// Writes the configuration and fills the store; evaluates nobody.
    pub(crate) async fn set(folder: &Path, url: &str, customers: u64) -> Result<Self> {
        write_config(folder)?;
        std::fs::write(folder.join("orders.csv"), "id,email,placed_at,total\n")?;
        let store = Store::open(url, OpenOptions::default()).await?;
        store.migrate().await?;
        let began = Instant::now();
        let now = At::from_seconds(NOW);
        let mut records = Vec::new();
        for number in 0..customers {
            records.extend(Person::invent(number, now).records());
            if records.len() >= PAGE || number + 1 == customers {
                let records = std::mem::take(&mut records);
                store.ingest(page(records, Origin::History, now)).await?;
            }
        }
        let found = store.customer_count().await?;
        if found != customers {
            return Err(anyhow!("{found} of {customers} invented customers are in the store"));
        }
        store.close().await;
        say(&format!("{customers} customers filled in within {:.0?}", began.elapsed()));
        Ok(Stage { folder: folder.to_path_buf(), url: url.to_owned(), customers })
    }

    /// How many customers, for people.
    pub(crate) fn crowd(&self) -> String {
        match self.customers {
            n if n >= 1_000_000 && n % 1_000_000 == 0 => format!("{} million", n / 1_000_000),
            n => n.to_string(),
        }
    }

    /// Measures a step in a process of its own.
    pub(crate) fn step(&self, step: Step) -> Result<Figures> {
        say(&format!("{} customers: {}", self.crowd(), step.word()));
        step.measured(&self.folder, &self.url, self.customers)
    }
}

/// A page of the shop's records.
pub(crate) fn page(records: Vec<zyklus_model::Record>, origin: Origin, received_at: At) -> Ingest {
    Ingest::of("shop", "orders", records, origin, received_at, Rates::only(Currency::EUR))
}

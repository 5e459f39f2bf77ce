//! The command line. Only its form: `commands` does what it says.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use zyklus_model::At;

use crate::backtest::BacktestArgs;

/// What `--now` and `--as-of` take: `2026-03-01T10:00:00Z` or `2026-03-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    /// An instant.
    Instant(At),
    /// A day, meaning its end.
    Day(Date),
}

impl std::str::FromStr for Now {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.parse(), text.parse::<Date>()) {
            (Ok(at), _) => Ok(Now::Instant(at)),
            (Err(_), Ok(day)) if text.len() == 10 => Ok(Now::Day(day)),
            (Err(error), _) => Err(format!("{error}; a day is written as 2026-03-01")),
        }
    }
}

impl Now {
    /// The instant meant where something begins: a day's first.
    pub(crate) fn start(self, zone: &TimeZone) -> At {
        match self {
            Now::Instant(at) => at,
            Now::Day(day) => {
                day.to_zoned(zone.clone()).map_or(At::MIN, |z| At::from_timestamp(z.timestamp()))
            }
        }
    }

    /// The instant meant; a day ends ten microseconds before the next begins where the shop is, so that looking again
    /// at once stays within it.
    pub(crate) fn at(self, zone: &TimeZone) -> At {
        match self {
            Now::Instant(at) => at,
            Now::Day(day) => {
                let next = day.checked_add(1.day()).unwrap_or(day);
                let start = next.to_zoned(zone.clone()).map(|z| At::from_timestamp(z.timestamp()));
                start.map_or(At::MAX, |at| at.plus_micros(-10))
            }
        }
    }
}

/// Self-hosted customer lifecycle engine for online shops.
#[derive(Debug, Parser)]
#[command(name = "zyklus", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// The configuration file.
    #[arg(long, global = true, default_value = "zyklus.toml")]
    pub(crate) config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    pub(crate) fn log_level(&self) -> &'static str {
        if matches!(self.command, Command::Run) { "info" } else { "error" }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented configuration with lifecycles, playbooks and templates into an empty folder.
    Init {
        /// The folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Make a folder with an invented shop, play its last fortnight through, and show what comes of it.
    Demo {
        /// The folder; made if it is missing.
        #[arg(long, default_value = "zyklus-demo")]
        dir: PathBuf,
    },
    /// Read the whole configuration, name every mistake with file, line and column, and run the playbooks' tests.
    Check {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run the tests that stand in the playbooks, on an invented customer and a virtual clock.
    Test {
        /// Only tests whose name, journey or file contains this.
        name: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read the shop and work out where every customer stands; send nothing.
    Sync {
        /// As if it were this instant, or the end of this day in the shop's time zone.
        #[arg(long)]
        now: Option<Now>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sync, decide and send until stopped.
    Run,
    /// Say what the configuration would do, and change nothing.
    Plan {
        /// As of this instant, or the end of this day in the shop's time zone.
        #[arg(long)]
        now: Option<Now>,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Exit with 1 when more messages than this are due within 24 hours.
        #[arg(long)]
        fail_above: Option<u64>,
    },
    /// Replay the store's history and say what the playbooks would have done; send nothing, change nothing.
    Backtest(BacktestArgs),
    /// Explain where a customer stands and what happens next.
    Why {
        /// Our id, e-mail address, the shop's id or an order number.
        customer: String,
        /// As if it were this instant, or the end of this day in the shop's time zone, with all that is known by now.
        #[arg(long)]
        now: Option<Now>,
        /// What was said at this instant or the end of this day, with what was known by then.
        #[arg(long, conflicts_with = "now")]
        as_of: Option<Now>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Figures over all customers.
    Report {
        /// As if it were this instant, or the end of this day in the shop's time zone, with all that is known by now.
        #[arg(long)]
        now: Option<Now>,
        /// What was said at this instant or the end of this day, with what was known by then.
        #[arg(long, conflicts_with = "now")]
        as_of: Option<Now>,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// As a page for browsers, written to this file, in the language of the shop.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        html: Option<PathBuf>,
    },
    /// What is learned of the shop: who will order again, what customers are worth, and what they say.
    #[command(subcommand)]
    Insight(InsightCommand),
    /// Customers.
    #[command(subcommand)]
    Customer(CustomerCommand),
    /// Messages and actions.
    #[command(subcommand)]
    Delivery(DeliveryCommand),
    /// Connectors.
    #[command(subcommand)]
    Connector(ConnectorCommand),
    /// Connectors that are not part of the program.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print the JSON schema of a file, for editors: after an update, put it into schema/ again.
    Schema {
        /// Of which file.
        #[arg(value_parser = ["zyklus", "lifecycle", "playbook"])]
        file: String,
    },
    /// The store.
    #[command(subcommand)]
    Db(DbCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum InsightCommand {
    /// Learn of the shop now, as a daemon does each night.
    Fit {
        /// As if it were this instant, or the end of this day in the shop's time zone.
        #[arg(long)]
        now: Option<Now>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what was learned last of the shop, or what that says of a customer.
    Show {
        /// Our id, e-mail address, the shop's id or an order number.
        customer: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What customers say: topics, complaints, new words, and whose score and words do not go together.
    Feedback {
        /// The last so many days, held against the year before them.
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3_650))]
        days: u32,
        /// As if it were this instant, or the end of this day in the shop's time zone.
        #[arg(long)]
        now: Option<Now>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Forecast the past as of several days, by what was known then, and hold that against what came.
    Validate {
        /// Forecast so many days; the shop's horizon unless it is given.
        #[arg(long)]
        window: Option<u32>,
        /// As of so many days, a window apart.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(3..=24))]
        cutoffs: u32,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// As a page for browsers, written to this file, in the language of the shop.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        html: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CustomerCommand {
    /// Find customers by id, e-mail address, the shop's id, order number or the beginning of a name.
    Find {
        /// What to look for.
        text: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show all that is known of a customer, as JSON.
    Show {
        /// Our id, e-mail address, the shop's id or an order number.
        customer: String,
        /// What was known at this instant or the end of this day in the shop's time zone.
        #[arg(long)]
        as_of: Option<Now>,
    },
    /// Never write to a customer again, whatever they agreed to.
    Suppress {
        /// Our id, e-mail address, the shop's id or an order number.
        customer: String,
        /// Only on this channel: email, sms, social, push or post.
        #[arg(long)]
        channel: Option<String>,
        /// Why: manual, unsubscribed (no advertising; the rest goes on), bounced, complained or erased.
        #[arg(long, default_value = "manual")]
        reason: String,
    },
    /// Take back every refusal of a customer and of their addresses.
    Unsuppress {
        /// Our id, e-mail address, the shop's id or an order number.
        customer: String,
        /// Only on this channel.
        #[arg(long)]
        channel: Option<String>,
    },
    /// Note what a customer said about being contacted, by letter, telephone or mail.
    #[command(group = clap::ArgGroup::new("word").required(true).args(["grant", "withdraw"]))]
    Consent {
        /// Our id, e-mail address, the shop's id or an order number.
        customer: String,
        /// The way: email, sms, social, push or post.
        #[arg(long, default_value = "email")]
        channel: String,
        /// What for: marketing, service or transactional.
        #[arg(long, default_value = "marketing")]
        purpose: String,
        /// They agree.
        #[arg(long)]
        grant: bool,
        /// They object, or take their consent back.
        #[arg(long)]
        withdraw: bool,
        /// What proves it, for example "mail of 2026-03-01, filed as 2026-0113".
        #[arg(long)]
        evidence: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveryCommand {
    /// List deliveries: latest due first, or those in one state soonest due first.
    List {
        /// Only in this state.
        #[arg(long)]
        state: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one delivery and its tries, as JSON.
    Show {
        /// Its id.
        id: String,
    },
    /// Put a delivery that failed, was given up or has no known end back into the outbox; or all of a kind. A daemon may
    /// be running meanwhile.
    Retry {
        /// Its id.
        #[arg(required_unless_present_any = ["state", "journey"], conflicts_with_all = ["state", "journey"])]
        id: Option<String>,
        /// All in this state: failed, dead or unknown.
        #[arg(long, value_parser = ["failed", "dead", "unknown"])]
        state: Option<String>,
        /// All of this journey.
        #[arg(long)]
        journey: Option<String>,
    },
    /// Withdraw a delivery that is waiting. A daemon may be running meanwhile.
    Cancel {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorCommand {
    /// List the connectors of the configuration.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check connectors against the other system.
    Check {
        /// Only this one.
        id: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read one page of a stream and print its records as JSON lines; store nothing.
    Read {
        /// The connector.
        id: String,
        /// The stream.
        stream: String,
        /// How many records.
        #[arg(long, default_value_t = 10)]
        limit: u32,
    },
    /// Send a message of the operator's own through a connector, to see that it arrives; store nothing.
    Send {
        /// The connector.
        id: String,
        /// An e-mail address, telephone number or handle, as the connector's channel has it.
        to: String,
        /// A mail's subject.
        #[arg(long)]
        subject: Option<String>,
        /// What it says.
        #[arg(long)]
        text: Option<String>,
        /// Show the message as the connector would get it, and do not hand it over.
        #[arg(long)]
        dry_run: bool,
    },
    /// Take in a notification (webhook) as if the other system had just posted it: an HTTP request as it is on the wire,
    /// head and body.
    Receive {
        /// The connector.
        id: String,
        /// The file with the request; without it, standard input.
        file: Option<PathBuf>,
        /// As if it had come at this instant: one that was kept would be too old now.
        #[arg(long)]
        now: Option<Now>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// List the libraries the configuration names, and say of each whether it can be used.
    List,
    /// Look at all of them and write their hashes into plugins.lock: from then on, only these are loaded.
    Lock,
    /// Look at a library in a process of its own, and say what it is or why it is none.
    Check {
        /// The library.
        file: PathBuf,
    },
    /// Write a project of a connector that builds, and passes the kit.
    New {
        /// What it is called: a folder of this name is made.
        name: String,
        /// In which language.
        #[arg(long, value_enum, default_value_t = PluginLanguage::Rust)]
        lang: PluginLanguage,
        /// The folder of the SDK, crates/connect in Zyklus's sources; for Rust.
        #[arg(long)]
        sdk: Option<PathBuf>,
    },
    /// Run the kit's cases over a library, inside this process and in one of its own; or over a built-in connector.
    Test {
        /// The library, or the type of a built-in connector.
        what: String,
        /// What the cases need to know of it.
        #[arg(long, default_value = "kit.toml")]
        kit: PathBuf,
        /// Let the library's process open sockets of its own.
        #[arg(long)]
        network: bool,
        /// Only the cases with this in their names.
        filter: Option<String>,
    },
}

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PluginLanguage {
    /// Rust, with the SDK.
    Rust,
    /// C99, with one header.
    C,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Create the store, or bring it up to this version.
    Migrate,
    /// Copy the store into a new file while the daemon goes on.
    Backup {
        /// The file.
        to: PathBuf,
    },
    /// Put a backup in the store's place.
    Restore {
        /// The file.
        from: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn instants_are_read_and_wrong_ones_refused() {
        let args =
            Args::try_parse_from(["zyklus", "report", "--now", "1998-06-30T00:00:00Z", "--json"]).unwrap();
        assert!(matches!(args.command, Command::Report { now: Some(_), json: true, .. }));
        let error = Args::try_parse_from(["zyklus", "report", "--now", "yesterday"]).unwrap_err();
        assert!(error.to_string().contains("is not an instant"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn then_is_either_known_then_or_known_now() {
        let args = ["zyklus", "why", "1", "--as-of", "2026-03-01", "--now", "2026-03-01"];
        let error = Args::try_parse_from(args).unwrap_err();
        assert!(error.to_string().contains("cannot be used with"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn a_day_is_meant_to_its_end_where_the_shop_is() {
        let now: Now = "2026-03-29".parse().unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(now.at(&berlin).to_string(), "2026-03-29T21:59:59.99999Z");
        assert_eq!(now.at(&TimeZone::UTC).to_string(), "2026-03-29T23:59:59.99999Z");
        assert!("2026-02-30".parse::<Now>().is_err());
    }

    #[test]
    fn the_demo_has_a_folder_of_its_own_and_another_can_be_named() {
        let dir = |args: &[&str]| match Args::try_parse_from(args).unwrap().command {
            Command::Demo { dir } => dir,
            other => panic!("{other:?}"),
        };
        assert_eq!(dir(&["zyklus", "demo"]), PathBuf::from("zyklus-demo"));
        assert_eq!(dir(&["zyklus", "demo", "--dir", "x"]), PathBuf::from("x"));
    }

    #[test]
    fn wrong_usage_ends_with_2() {
        for args in [&["zyklus"][..], &["zyklus", "why"], &["zyklus", "plan", "--fail-above", "many"]] {
            assert_eq!(Args::try_parse_from(args).unwrap_err().exit_code(), 2, "{args:?}");
        }
    }
}

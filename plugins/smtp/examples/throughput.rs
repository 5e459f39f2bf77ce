//! Sends many mails to a server on this machine and prints how many a second it took:
//! `throughput PORT [MAILS] [CONNECTIONS]`. For measuring, with Postfix's smtp-sink at the other end.

#[path = "../tests/it/common.rs"]
mod common;

use std::time::Instant;

use zyklus_connect::Outcome;

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>().expect("a number"));
    let port = numbers.next().expect("the server's port");
    let (mails, connections) = (numbers.next().unwrap_or(5_000), numbers.next().unwrap_or(1));
    let port = u16::try_from(port).expect("a port");
    let connector =
        common::open(port, serde_json::json!({ "max_connections": connections })).await.expect("it opens");
    let names: Vec<String> = (0..mails).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let started = Instant::now();
    let outcomes = common::send(&connector, &names).await;
    let seconds = started.elapsed().as_secs_f64();
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Done(_))).count();
    if let Some(outcome) = outcomes.iter().find(|outcome| outcome.error().is_some()) {
        eprintln!("not sent: {}", common::word(outcome));
    }
    println!(
        "{done} of {mails} mails in {seconds:.2} s over {connections} connections: {:.0}/s",
        f64::from(mails) / seconds
    );
}

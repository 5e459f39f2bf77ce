//! `zyklus connector receive`: a notification from a file, taken in as if it had just been posted.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use zyklus_connect::WebhookRequest;
use zyklus_model::At;
use zyklus_runtime::sync::follow_up;
use zyklus_runtime::{ReceiveError, ReceiveReport, SyncReport, open_all, receive};

use crate::args::Now;
use crate::commands::{Done, by_hand, clock, load, print, print_json};
use crate::{Failure, connectors, registry};

/// More than any sender of notifications posts: 16 MiB.
const LONGEST: u64 = 16 << 20;
/// Headers in one request.
const MOST_HEADERS: usize = 128;

/// What `--json` prints.
#[derive(Serialize)]
struct Received<'r> {
    #[serde(flatten)]
    taken: &'r ReceiveReport,
    /// What the streams it named came to, read at once.
    read: Option<&'r SyncReport>,
}

pub(crate) async fn run(config: &Path, id: &str, file: Option<&Path>, now: Option<Now>, json: bool) -> Done {
    let project = load(config, true)?;
    let clock = clock(now, &project);
    let request = request_of(&bytes_of(file)?, clock.now())?;
    let store = by_hand(&project).await?;
    let all = open_all(&project, registry(), &clock).await?;
    let done = async {
        let connector = connectors::find(&all, id)?;
        let taken = match receive(&store, connector, &project, &clock, request).await {
            Ok(taken) => taken,
            Err(ReceiveError::Rejected(why)) => return Err(anyhow!("{id} does not take it: {why}").into()),
            Err(error) => return Err(Failure::from(error)),
        };
        let read = match taken.follow_up.as_slice() {
            [] => None,
            streams => Some(follow_up(&store, connector, &project, &clock, streams).await),
        };
        if json {
            print_json(&Received { taken: &taken, read: read.as_ref() })?;
        } else {
            print(&told(id, &taken))?;
            print(
                &read.as_ref().map_or(String::new(), |read| crate::sync::told(std::slice::from_ref(read))),
            )?;
        }
        if read.is_none_or(|read| read.is_complete()) { Ok(()) } else { Err(Failure::No) }
    };
    let done = done.await;
    all.close().await;
    store.close().await;
    done
}

fn told(id: &str, taken: &ReceiveReport) -> String {
    let mut text = if taken.is_repeat {
        format!("{id} has taken it before; nothing was done\n")
    } else {
        format!(
            "{id} takes it: {} records, {} changed, {} new customers, {} rejected\n",
            taken.records, taken.changed, taken.new_customers, taken.rejected
        )
    };
    if let Some(reply) = &taken.reply {
        text += &format!("answered with {}: {}\n", reply.status, String::from_utf8_lossy(&reply.body));
    }
    text
}

fn bytes_of(file: Option<&Path>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (read, name) = match file {
        Some(file) => {
            let open =
                std::fs::File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
            (open.take(LONGEST + 1).read_to_end(&mut bytes), file.display().to_string())
        }
        None => {
            (std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes), "standard input".to_owned())
        }
    };
    read.with_context(|| format!("{name} cannot be read"))?;
    if bytes.len() as u64 > LONGEST {
        bail!("{name} is longer than 16 MiB; no notification is");
    }
    Ok(bytes)
}

/// An HTTP/1.1 request as it is on the wire (RFC 9112), its lines ended by CR LF or LF.
fn request_of(bytes: &[u8], received_at: At) -> Result<WebhookRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let form =
        "it begins with a line as `POST /path HTTP/1.1`, then come its headers, an empty line and the body";
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => bail!("the request ends before its body: {form}"),
        Err(error) => bail!("this is no HTTP request ({error}): {form}"),
    };
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for header in head.headers.iter() {
        let value = String::from_utf8_lossy(header.value).into_owned();
        // What comes twice is one list (RFC 9110, 5.2).
        named
            .entry(header.name.to_ascii_lowercase())
            .and_modify(|before| *before = format!("{before}, {value}"))
            .or_insert(value);
    }
    let mut body = bytes.get(length..).unwrap_or_default();
    if let Some(length) = named.get("content-length") {
        let length: usize = length.parse().map_err(|_| anyhow!("content-length: `{length}` is no length"))?;
        // Editors end a file with a line break that was not posted.
        body = body.get(..length).ok_or_else(|| {
            anyhow!("the body has {} bytes, and content-length says {length}: some are missing", body.len())
        })?;
    } else if named.contains_key("transfer-encoding") {
        bail!("the body is chunked; write it as it is, without transfer-encoding");
    }
    Ok(WebhookRequest {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().to_owned(),
        headers: named,
        body: body.to_vec(),
        received_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<WebhookRequest> {
        request_of(text.as_bytes(), At::from_seconds(0))
    }

    #[test]
    fn a_request_is_read_as_it_is_on_the_wire() {
        for end in ["\r\n", "\n"] {
            let lines =
                ["POST /hooks?x=1 HTTP/1.1", "Host: a.example", "X-Sign: ü", "x-sign: b", "", "{\"a\": 1}\n"];
            let request = parsed(&lines.join(end)).unwrap();
            assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hooks?x=1"));
            assert_eq!(request.headers["x-sign"], "ü, b");
            assert_eq!(request.body, b"{\"a\": 1}\n");
        }
    }

    #[test]
    fn the_body_is_as_long_as_it_says() {
        let of = |length: &str| parsed(&format!("POST / HTTP/1.1\nContent-Length: {length}\n\nabc\n"));
        assert_eq!(of("3").unwrap().body, b"abc");
        for (length, words) in [("5", "some are missing"), ("many", "is no length"), ("-1", "is no length")] {
            assert!(of(length).unwrap_err().to_string().contains(words), "{length}");
        }
    }

    #[test]
    fn what_is_no_request_is_said() {
        for (text, words) in [
            ("", "ends before its body"),
            ("POST / HTTP/1.1\nA: b\n", "ends before its body"),
            ("{\"id\": 1}\n\n", "this is no HTTP request"),
            ("POST / HTTP/1.1\ntransfer-encoding: chunked\n\n1\nx\n0\n", "chunked"),
        ] {
            assert!(parsed(text).unwrap_err().to_string().contains(words), "{text}");
        }
    }
}

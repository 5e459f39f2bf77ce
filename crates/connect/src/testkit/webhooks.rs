//! Cases of notifications: the good one is taken, and nothing that differs from it by a byte.

use super::bench::{Bench, Verdict};
use super::file::{Notification, Reception};
use super::{Case, cases, ensure, webhooks};
use crate::Webhooks;
use crate::webhook::{Received, Rejected, WebhookRequest};

pub(super) fn all() -> Vec<Case> {
    cases![
        notifications_are_taken_and_refused_as_said in webhooks,
        a_notification_is_the_same_each_time in webhooks,
        a_changed_or_unsigned_body_is_refused in webhooks,
    ]
}

fn request(bench: &Bench, notification: &Notification) -> WebhookRequest {
    WebhookRequest {
        method: notification.method.clone(),
        path: notification.path.clone(),
        headers: notification.headers.clone(),
        body: notification.body.clone().into_bytes(),
        received_at: notification.received_at.unwrap_or(bench.kit.now),
    }
}

/// `receive` may block, as a library's does.
fn receive(webhooks: &dyn Webhooks, request: &WebhookRequest) -> Result<Received, Rejected> {
    tokio::task::block_in_place(|| webhooks.receive(request))
}

fn accepted(bench: &Bench) -> Result<Vec<&Notification>, String> {
    let accepted: Vec<_> = bench.kit.webhook.iter().filter(|w| w.expect == Reception::Accepted).collect();
    ensure!(!accepted.is_empty(), "the kit file has no [[webhook]] that is accepted");
    Ok(accepted)
}

async fn notifications_are_taken_and_refused_as_said(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    let Some(webhooks) = open.connector().webhooks() else {
        ensure!(bench.kit.webhook.is_empty(), "it takes no webhooks, though the kit file has some");
        return Ok(());
    };
    accepted(&bench)?;
    for (at, notification) in bench.kit.webhook.iter().enumerate() {
        let received = receive(webhooks, &request(&bench, notification));
        let as_said = match (&received, notification.expect) {
            (Ok(received), Reception::Accepted) => {
                let count = received.records.len();
                let fits = notification.records.is_none_or(|records| records == count);
                ensure!(fits, "[[webhook]] {}: {count} records are in it", at + 1);
                true
            }
            (Err(Rejected::Signature(_)), Reception::Signature) => true,
            (Err(Rejected::Malformed(_)), Reception::Malformed) => true,
            _ => false,
        };
        ensure!(as_said, "[[webhook]] {}: {received:?}", at + 1);
        if let Err(rejected) = &received {
            bench.keeps_secrets(&rejected.to_string())?;
        }
    }
    Ok(())
}

async fn a_notification_is_the_same_each_time(bench: Bench) -> Verdict {
    let (open, other) = (bench.open().await?, bench.open().await?);
    let (Some(webhooks), Some(again)) = (open.connector().webhooks(), other.connector().webhooks()) else {
        return Ok(());
    };
    for notification in accepted(&bench)? {
        let request = request(&bench, notification);
        let first = receive(webhooks, &request);
        ensure!(first == receive(webhooks, &request), "the second time it is read otherwise");
        ensure!(first == receive(again, &request), "another instance reads it otherwise");
        let has_id = first.is_ok_and(|received| received.delivery_id.is_some());
        ensure!(has_id, "it has no delivery id: a repeat could not be told from news");
    }
    Ok(())
}

async fn a_changed_or_unsigned_body_is_refused(bench: Bench) -> Verdict {
    let open = bench.open().await?;
    let Some(webhooks) = open.connector().webhooks() else { return Ok(()) };
    for notification in accepted(&bench)? {
        let good = request(&bench, notification);
        let mut longer = good.clone();
        longer.body.push(b' ');
        let unsigned = WebhookRequest { headers: Default::default(), ..good.clone() };
        for (request, what) in [(longer, "with a space more"), (unsigned, "without headers")] {
            let received = receive(webhooks, &request);
            let refused = matches!(received, Err(Rejected::Signature(_)));
            ensure!(refused, "{what} it should be refused for its signature: {received:?}");
        }
    }
    Ok(())
}

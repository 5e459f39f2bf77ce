//! What an operator records about a customer by hand: refusals, and words that came by mail, letter or telephone.
//! Only reads words and calls the store.

use anyhow::anyhow;
use zyklus_model::{Channel, ConsentState, Purpose, SuppressionReason};
use zyklus_runtime::{Clock, Project};
use zyklus_store::OperatorWord;

use crate::Failure;
use crate::args::CustomerCommand;
use crate::commands::{by_hand, one_customer, print};

/// Who audit rows name.
const ACTOR: &str = "operator";

/// Records what the command says.
pub(crate) async fn record(project: &Project, command: CustomerCommand) -> Result<(), Failure> {
    let now = Clock::System.now();
    match command {
        CustomerCommand::Suppress { customer, channel, reason } => {
            let channel = channel_of(channel.as_deref())?;
            let reason = word(&reason, "reason", SuppressionReason::ALL, SuppressionReason::as_str)?;
            let store = by_hand(project).await?;
            let id = one_customer(&store, &customer).await?;
            store.suppress(id, channel, reason, now, ACTOR).await?;
            store.close().await;
            print(&match reason {
                SuppressionReason::Unsubscribed => format!("{id} gets no advertising any more.\n"),
                _ => format!("{id} gets no messages any more.\n"),
            })
        }
        CustomerCommand::Unsuppress { customer, channel } => {
            let channel = channel_of(channel.as_deref())?;
            let store = by_hand(project).await?;
            let id = one_customer(&store, &customer).await?;
            let count = store.unsuppress(id, channel, now, ACTOR).await?;
            store.close().await;
            if count == 0 {
                return Err(anyhow!("nothing is refused for {id}").into());
            }
            print(&format!("{count} refusals of {id} are taken back; consents stay as they are.\n"))
        }
        CustomerCommand::Consent { customer, channel, purpose, grant, evidence, .. } => {
            if evidence.trim().is_empty() {
                return Err(anyhow!("--evidence is empty: say what proves it, and where it is kept").into());
            }
            let word = OperatorWord {
                channel: word(&channel, "channel", Channel::ALL, Channel::as_str)?,
                purpose: word(&purpose, "purpose", Purpose::ALL, Purpose::as_str)?,
                state: if grant { ConsentState::Granted } else { ConsentState::Withdrawn },
                evidence,
            };
            let said = format!("{} {} by {}", word.purpose, word.state, word.channel);
            let store = by_hand(project).await?;
            let id = one_customer(&store, &customer).await?;
            store.record_consent(id, word, now, ACTOR).await?;
            store.close().await;
            print(&format!("Noted for {id}: {said}.\n"))
        }
        CustomerCommand::Find { .. } | CustomerCommand::Show { .. } => {
            unreachable!("these only read")
        }
    }
}

fn channel_of(text: Option<&str>) -> Result<Option<Channel>, Failure> {
    text.map(|text| word(text, "channel", Channel::ALL, Channel::as_str)).transpose()
}

/// One of some words.
fn word<T: Copy>(text: &str, what: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<T, Failure> {
    all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        anyhow!("`{text}` is no {what}; known are {}", known.join(", ")).into()
    })
}

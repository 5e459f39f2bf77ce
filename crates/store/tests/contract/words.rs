//! What customers say about being contacted, and clocks that are ahead: which word counts, and for whom.

use serde_json::{Value, json};
use zyklus_model::{
    Channel, ConsentRecord, ConsentState, CustomerRecord, CustomerRef, Purpose, Record, SuppressionReason,
};
use zyklus_store::{JourneyActivation, OperatorWord, Store};

use crate::common::Bed;
use crate::ingest::consent;
use crate::make::{account, cart, customer, everybody, guest, minute, only, order, take_live};

on_both![
    withdrawal_wins_over_a_consent_of_the_same_instant,
    withdrawal_dated_in_the_future_counts_from_when_it_is_heard,
    withdrawal_holds_for_every_customer_with_that_address,
    later_consent_for_the_address_lifts_its_refusal,
    older_page_brings_no_lifted_refusal_back,
    undated_answer_that_changed_counts_from_when_it_is_read,
    record_dated_in_the_future_does_not_freeze_it,
    journey_noted_by_a_clock_that_was_ahead_starts_again,
    word_an_operator_records_counts_like_one_of_a_shop,
    refusal_an_operator_records_holds_until_it_is_taken_back,
];

fn word(customer: CustomerRef, state: ConsentState, minutes: i64) -> Record {
    Record::Consent(ConsentRecord { customer, ..consent(state, minutes) })
}

async fn last_word(store: &Store) -> ConsentState {
    let one = only(store).await;
    one.last_word(Channel::Email, Purpose::Marketing, minute(10_000)).unwrap().state
}

async fn withdrawal_wins_over_a_consent_of_the_same_instant(bed: Bed) {
    // Whichever way their ids happen to sort.
    for n in 0..8 {
        let words = [ConsentState::Withdrawn, ConsentState::Granted].map(|s| word(account("1", ""), s, n));
        take_live(&bed.store, "a", 60, words.to_vec()).await;
        assert_eq!(last_word(&bed.store).await, ConsentState::Withdrawn, "{n}");
    }
}

async fn withdrawal_dated_in_the_future_counts_from_when_it_is_heard(bed: Bed) {
    let store = &bed.store;
    take_live(store, "a", 10, vec![word(account("1", ""), ConsentState::Granted, 500)]).await;
    let no = vec![word(account("1", ""), ConsentState::Withdrawn, 400)];
    take_live(store, "a", 20, no.clone()).await;
    let one = only(store).await;
    let found = one.last_word(Channel::Email, Purpose::Marketing, minute(20)).unwrap();
    assert_eq!((found.state, found.at), (ConsentState::Withdrawn, minute(20)));
    assert_eq!(last_word(store).await, ConsentState::Withdrawn, "nor does the consent outlast it");
    assert_eq!(take_live(store, "a", 30, no).await.changed, 0, "the same word again is nothing new");
}

/// For how many customers an address is unsubscribed.
async fn refused(store: &Store) -> usize {
    everybody(store).await.iter().filter(|s| !s.suppressions.is_empty()).count()
}

async fn withdrawal_holds_for_every_customer_with_that_address(bed: Bed) {
    let store = &bed.store;
    let both = [account("1", "ann@example.com"), account("2", "ann@example.com")];
    take_live(store, "shop", 1, both.map(|who| Record::Customer(customer(who))).to_vec()).await;
    take_live(store, "list", 20, vec![word(guest("ANN@example.com"), ConsentState::Withdrawn, 9)]).await;
    let all = everybody(store).await;
    assert_eq!(all.len(), 3);
    for one in all {
        assert_eq!(one.suppressions.len(), 1);
        assert!(!one.suppressions[0].all_purposes, "what they ordered still reaches them");
        assert_eq!(one.suppressions[0].channel, Some(Channel::Email));
    }
}

async fn later_consent_for_the_address_lifts_its_refusal(bed: Bed) {
    let store = &bed.store;
    let ann = || guest("ann@example.com");
    take_live(store, "list", 20, vec![word(ann(), ConsentState::Withdrawn, 9)]).await;
    let unproven =
        ConsentRecord { customer: ann(), evidence: Value::Null, ..consent(ConsentState::Granted, 10) };
    take_live(store, "list", 21, vec![Record::Consent(unproven)]).await;
    take_live(store, "list", 22, vec![word(guest("bob@example.com"), ConsentState::Granted, 11)]).await;
    assert_eq!(refused(store).await, 1, "neither a word without evidence nor another address");
    take_live(store, "shop", 23, vec![word(ann(), ConsentState::Granted, 12)]).await;
    assert_eq!(refused(store).await, 0);
    take_live(store, "list", 24, vec![word(ann(), ConsentState::Withdrawn, 13)]).await;
    assert_eq!(refused(store).await, 2, "the list's customer and the shop's");
}

async fn older_page_brings_no_lifted_refusal_back(bed: Bed) {
    let store = &bed.store;
    let ann = || guest("ann@example.com");
    take_live(store, "list", 20, vec![word(ann(), ConsentState::Granted, 9)]).await;
    take_live(store, "list", 21, vec![word(ann(), ConsentState::Withdrawn, 5)]).await;
    assert_eq!(refused(store).await, 0);
    take_live(store, "list", 22, vec![word(ann(), ConsentState::Withdrawn, 15)]).await;
    take_live(store, "list", 23, vec![word(ann(), ConsentState::Granted, 12)]).await;
    assert_eq!(refused(store).await, 1);
}

async fn undated_answer_that_changed_counts_from_when_it_is_read(bed: Bed) {
    let store = &bed.store;
    let answer = |state| {
        let customer = account("1", "ann@example.com");
        vec![Record::Consent(ConsentRecord { customer, undated: true, ..consent(state, 1) })]
    };
    use ConsentState::{Granted, Withdrawn};
    for (minutes, state, count) in
        [(10, Withdrawn, 1), (20, Granted, 2), (25, Granted, 2), (30, Withdrawn, 3), (40, Granted, 4)]
    {
        take_live(store, "list", minutes, answer(state)).await;
        assert_eq!(last_word(store).await, state, "{minutes}");
        assert_eq!(only(store).await.consents.len(), count, "{minutes}");
    }
    // Who unsubscribes elsewhere stays so while the list merely repeats itself.
    let elsewhere = vec![word(guest("ann@example.com"), Withdrawn, 45)];
    take_live(store, "shop", 45, elsewhere).await;
    take_live(store, "list", 50, answer(Granted)).await;
    assert_eq!(refused(store).await, 2);
}

async fn record_dated_in_the_future_does_not_freeze_it(bed: Bed) {
    let store = &bed.store;
    let said = |name: &str, minutes| {
        let mut bought = order("1", account("1", ""), 0);
        (bought.number, bought.updated_at) = (name.into(), Some(minute(minutes)));
        let mut basket = cart("1", account("1", ""), minutes);
        basket.url = Some(name.into());
        let names = Some(name.to_owned());
        let person = customer(account("1", ""));
        let person = CustomerRecord { first_name: names, updated_at: Some(minute(minutes)), ..person };
        vec![Record::Customer(person), Record::Order(bought), Record::Cart(basket)]
    };
    take_live(store, "a", 10, said("old", 100_000)).await;
    take_live(store, "a", 20, said("new", 15)).await;
    let one = only(store).await;
    assert_eq!(one.customer.first_name.as_deref(), Some("new"));
    assert_eq!(one.orders[0].number, "new");
    assert_eq!(one.carts[0].url.as_deref(), Some("new"));
    assert!(one.events.iter().all(|e| e.occurred_at <= e.received_at), "{:?}", json!(one.events));
}

async fn journey_noted_by_a_clock_that_was_ahead_starts_again(bed: Bed) {
    let journey = JourneyActivation {
        id: "welcome".into(),
        mode: "live".into(),
        definition: "d".into(),
        enabled: true,
    };
    let journeys = std::slice::from_ref(&journey);
    bed.store.activate(journeys, minute(500_000)).await.unwrap();
    let active = bed.store.activate(journeys, minute(10)).await.unwrap();
    assert_eq!(active["welcome"], minute(10));
    let active = bed.store.activate(journeys, minute(20)).await.unwrap();
    assert_eq!(active["welcome"], minute(10));
}

fn by_letter(state: ConsentState) -> OperatorWord {
    let (channel, purpose) = (Channel::Email, Purpose::Marketing);
    OperatorWord { channel, purpose, state, evidence: "letter of 2026-01-01".into() }
}

async fn word_an_operator_records_counts_like_one_of_a_shop(bed: Bed) {
    let store = &bed.store;
    let both = [account("1", "ann@example.com"), account("2", "ann@example.com")];
    take_live(store, "shop", 1, both.map(|who| Record::Customer(customer(who))).to_vec()).await;
    let id = everybody(store).await[0].customer.id;
    assert!(
        store.record_consent(id, by_letter(ConsentState::Withdrawn), minute(10), "operator").await.unwrap()
    );
    assert_eq!(refused(store).await, 2, "it holds for the address");
    let one = store.snapshots(&[id]).await.unwrap().remove(0);
    assert_eq!(one.consents[0].evidence["note"], "letter of 2026-01-01");
    assert!(one.mark.live_pending && one.events.iter().any(|e| e.name == "consent.withdrawn"));
    assert!(
        store.record_consent(id, by_letter(ConsentState::Granted), minute(20), "operator").await.unwrap()
    );
    assert_eq!(refused(store).await, 0);
    let nobody = zyklus_model::CustomerId::derive(&[b"nobody"]);
    assert!(
        !store
            .record_consent(nobody, by_letter(ConsentState::Granted), minute(30), "operator")
            .await
            .unwrap()
    );
    let audit = crate::parity::dump(&bed).await["audit"].clone();
    assert_eq!(audit.iter().filter(|row| row.contains("customer.consent")).count(), 2, "{audit:?}");
}

async fn refusal_an_operator_records_holds_until_it_is_taken_back(bed: Bed) {
    let store = &bed.store;
    let both = [account("1", "ann@example.com"), account("2", "ann@example.com")];
    take_live(store, "shop", 1, both.map(|who| Record::Customer(customer(who))).to_vec()).await;
    let id = everybody(store).await[0].customer.id;
    assert!(store.suppress(id, None, SuppressionReason::Manual, minute(10), "operator").await.unwrap());
    assert_eq!(refused(store).await, 2);
    let one = store.snapshots(&[id]).await.unwrap().remove(0);
    assert!(one.suppressions.iter().any(|s| s.channel.is_none() && s.all_purposes));
    assert_eq!(store.unsuppress(id, Some(Channel::Sms), minute(11), "operator").await.unwrap(), 0);
    assert_eq!(store.unsuppress(id, None, minute(12), "operator").await.unwrap(), 2);
    assert_eq!(refused(store).await, 0);
    let audit = crate::parity::dump(&bed).await["audit"].clone();
    assert_eq!(audit.iter().filter(|row| row.contains("suppressed")).count(), 2, "{audit:?}");
}

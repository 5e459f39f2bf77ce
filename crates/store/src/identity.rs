//! Who a record is about: finds the customer behind a name, or makes one, and notes which customers turned out
//! to be the same. Never by name or telephone number, never by an address nobody verified (a guest's counts
//! within its own system, and where it equals a verified one). Never writes before the whole batch is resolved.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest, Sha256};
use uuid::Uuid;
use zyklus_model::{At, CustomerId, CustomerRef, Email, IdentityKind, bucket_of};

use crate::arg::{Arg, args};
use crate::column::named;
use crate::error::{Result, StoreError};
use crate::merge::Fold;
use crate::past;
use crate::person::{Person, load_persons};
use crate::tx::{CHUNK, Sql, Tx};

/// The longest id of another system that is kept.
const LONGEST_NAME: usize = 255;

/// A customer's name in one system (or in all, for a verified address).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub(crate) kind: IdentityKind,
    pub(crate) value: String,
    pub(crate) system: String,
}

/// A [`CustomerRef`], cleaned: what it gives as names, the strongest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reference {
    pub(crate) names: Vec<Name>,
    pub(crate) email: Option<Email>,
}

impl Reference {
    /// Reads a reference; `is_guest` says that the system keeps guests under ids of their own.
    pub(crate) fn new(customer: &CustomerRef, system: &str, is_guest: bool) -> Self {
        let email = customer.email.as_deref().and_then(|text| Email::parse(text).ok());
        let external = customer.external_id.as_deref().and_then(name_of);
        let mut names = Vec::with_capacity(2);
        let without_id = external.is_none();
        if let Some(value) = external {
            names.push(Name { kind: IdentityKind::External, value, system: system.to_owned() });
        }
        if let Some(email) = &email {
            let value = email.as_str().to_owned();
            if customer.email_verified {
                names.push(Name { kind: IdentityKind::Email, value, system: String::new() });
            } else if without_id || is_guest {
                names.push(Name { kind: IdentityKind::GuestEmail, value, system: system.to_owned() });
            }
        }
        Reference { names, email }
    }
}

/// A text from outside that names something, cleaned; `None` when nothing is left.
pub(crate) fn name_of(text: &str) -> Option<String> {
    Some(zyklus_model::address::clean_text(text, LONGEST_NAME)).filter(|text| !text.is_empty())
}

/// The customer a record is about, and the one it came in under before any merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) customer: CustomerId,
    pub(crate) source: CustomerId,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    who: Who,
    is_new: bool,
}

/// Everybody a batch is about.
#[derive(Debug)]
pub(crate) struct People {
    received_at: At,
    pub(crate) persons: HashMap<CustomerId, Person>,
    names: HashMap<Name, Held>,
    /// Under which systems a guest's address is known.
    guests: HashMap<String, BTreeSet<String>>,
    /// Names to be forgotten.
    forgotten: BTreeSet<Name>,
    /// Customers whose last name went.
    nameless: BTreeSet<CustomerId>,
    pub(crate) folds: Vec<Fold>,
}

named! {
    struct IdentityRow {
        kind: String,
        value: String,
        system: String,
        customer_id: Uuid,
        source_customer_id: Uuid,
    }
}

impl IdentityRow {
    fn read(self) -> Result<(Name, Who)> {
        let kind = IdentityKind::parse(&self.kind)
            .ok_or_else(|| StoreError::unreadable("kind of identity", &self.kind))?;
        let customer = CustomerId::from_uuid(self.customer_id);
        let source = CustomerId::from_uuid(self.source_customer_id);
        Ok((Name { kind, value: self.value, system: self.system }, Who { customer, source }))
    }
}

impl People {
    /// For records that name nobody.
    pub(crate) fn nobody(received_at: At) -> Self {
        People {
            received_at,
            persons: HashMap::new(),
            names: HashMap::new(),
            guests: HashMap::new(),
            forgotten: BTreeSet::new(),
            nameless: BTreeSet::new(),
            folds: Vec::new(),
        }
    }

    /// Loads what is known of all names of a batch, in a few statements.
    pub(crate) async fn load<'r>(
        tx: &mut Tx,
        system: &str,
        references: impl Iterator<Item = &'r Reference>,
        received_at: At,
    ) -> Result<Self> {
        let mut external = BTreeSet::new();
        let mut emails = BTreeSet::new();
        for name in references.flat_map(|reference| &reference.names) {
            match name.kind {
                IdentityKind::External => external.insert(name.value.as_str()),
                IdentityKind::Email | IdentityKind::GuestEmail => emails.insert(name.value.as_str()),
            };
        }
        let mut people = People::nobody(received_at);
        const COLUMNS: &str =
            "SELECT kind, value, system, customer_id, source_customer_id FROM identity WHERE ";
        let mut rows: Vec<IdentityRow> = Vec::new();
        for some in external.into_iter().collect::<Vec<_>>().chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), COLUMNS);
            sql.push("kind = ").bind(IdentityKind::External.as_str()).push(" AND system = ").bind(system);
            sql.push(" AND value IN ").list(some.iter().copied());
            rows.extend(tx.rows(sql).await?);
        }
        for some in emails.into_iter().collect::<Vec<_>>().chunks(CHUNK) {
            let mut sql = Sql::new(tx.dialect(), COLUMNS);
            sql.push("kind IN ('email', 'guest_email') AND value IN ").list(some.iter().copied());
            rows.extend(tx.rows(sql).await?);
        }
        let mut wanted = BTreeSet::new();
        for row in rows {
            let (name, who) = row.read()?;
            wanted.insert(who.customer);
            people.hold(name, Held { who, is_new: false });
        }
        people.persons = load_persons(tx, &wanted.into_iter().collect::<Vec<_>>()).await?;
        Ok(people)
    }

    fn hold(&mut self, name: Name, held: Held) {
        if name.kind == IdentityKind::GuestEmail {
            self.guests.entry(name.value.clone()).or_default().insert(name.system.clone());
        }
        self.names.insert(name, held);
    }

    /// Who a customer is after all merges of the batch so far.
    pub(crate) fn root(&self, customer: CustomerId) -> CustomerId {
        let mut at = customer;
        while let Some(next) = self.persons.get(&at).and_then(|person| person.merged_into) {
            at = next;
        }
        at
    }

    /// The same for a record's customer.
    pub(crate) fn settled(&self, who: Who) -> Who {
        Who { customer: self.root(who.customer), source: who.source }
    }

    pub(crate) fn person(&mut self, customer: CustomerId) -> Option<&mut Person> {
        let root = self.root(customer);
        self.persons.get_mut(&root)
    }

    /// The names that lead to the same person as `name` does by the rules.
    fn equals(&self, name: &Name) -> Vec<Name> {
        let of = |kind, system: &str| Name { kind, value: name.value.clone(), system: system.to_owned() };
        match name.kind {
            IdentityKind::External => Vec::new(),
            IdentityKind::GuestEmail => vec![of(IdentityKind::Email, "")],
            IdentityKind::Email => {
                let systems = self.guests.get(&name.value);
                systems.into_iter().flatten().map(|system| of(IdentityKind::GuestEmail, system)).collect()
            }
        }
    }

    /// Finds or makes the customer of a record; `since` is when the fact says the customer existed. `None`
    /// when the record names nobody.
    pub(crate) async fn resolve(
        &mut self,
        tx: &mut Tx,
        reference: &Reference,
        since: At,
    ) -> Result<Option<Who>> {
        let Some(first) = reference.names.first() else { return Ok(None) };
        let mut found: Vec<(Who, &'static str)> = Vec::new();
        for name in &reference.names {
            if let Some(held) = self.names.get(name) {
                found.push((self.settled(held.who), reason(name.kind, name.kind)));
            }
        }
        for name in &reference.names {
            for other in self.equals(name) {
                if let Some(held) = self.names.get(&other) {
                    found.push((self.settled(held.who), reason(name.kind, other.kind)));
                }
            }
        }
        let who = match found.first() {
            Some((who, _)) => *who,
            None => self.create(first, since),
        };
        for (other, reason) in found.into_iter().skip(1) {
            self.join(tx, who.customer, other.customer, reason).await?;
        }
        let who = self.settled(who);
        for name in &reference.names {
            if !self.names.contains_key(name) {
                self.hold(name.clone(), Held { who, is_new: true });
            }
        }
        if let Some(person) = self.person(who.customer) {
            person.existed(since);
            person.fill_email(reference.email.as_ref());
        }
        Ok(Some(who))
    }

    fn create(&mut self, name: &Name, since: At) -> Who {
        let mut hash = Sha256::new();
        for part in [&name.system, name.kind.as_str(), &name.value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let mut random = [0u8; 10];
        random.copy_from_slice(&digest[..10]);
        let id = CustomerId::v7(self.received_at, random);
        // The same name at the same instant can only be somebody who was deleted a moment ago.
        if let Entry::Vacant(place) = self.persons.entry(id) {
            place.insert(Person::new(id, since, self.received_at));
        }
        Who { customer: id, source: id }
    }

    async fn join(
        &mut self,
        tx: &mut Tx,
        one: CustomerId,
        other: CustomerId,
        reason: &'static str,
    ) -> Result<()> {
        let (one, other) = (self.root(one), self.root(other));
        if one == other || kept_apart(tx, one, other).await? {
            return Ok(());
        }
        let age = |id: &CustomerId| self.persons.get(id).map(|p| (p.received_at, p.created_at, p.id));
        let (winner, loser) = if age(&one) <= age(&other) { (one, other) } else { (other, one) };
        let Some(mut folded) = self.persons.remove(&loser) else { return Ok(()) };
        if let Some(kept) = self.persons.get_mut(&winner) {
            let before = kept.profile.clone();
            kept.take_over(&folded);
            let after = kept.profile.clone();
            // Somebody new may have stored rows too, from an earlier merge of this batch.
            let is_stored = !folded.is_new || self.folds.iter().any(|f| f.winner == loser && f.is_stored);
            self.folds.push(Fold::new(winner, loser, reason, self.received_at, before, after, is_stored));
            folded.merged_into = Some(winner);
            folded.is_touched = true;
        }
        self.persons.insert(loser, folded);
        Ok(())
    }

    /// Takes an id of a system off its customer; when no other id is left the addresses too, so that nobody is
    /// written to any more. Returns whose it was.
    pub(crate) async fn forget(
        &mut self,
        tx: &mut Tx,
        system: &str,
        external_id: &str,
    ) -> Result<Option<Who>> {
        let name =
            Name { kind: IdentityKind::External, value: external_id.to_owned(), system: system.to_owned() };
        let Some(held) = self.names.get(&name) else { return Ok(None) };
        let who = self.settled(held.who);
        let mut its: BTreeSet<Name> = BTreeSet::new();
        // Customers that were folded in within this batch still have their names stored under themselves.
        for customer in
            self.persons.keys().copied().filter(|id| self.root(*id) == who.customer).collect::<Vec<_>>()
        {
            let sql = "SELECT kind, value, system, customer_id, source_customer_id FROM identity
                       WHERE bucket = $1 AND customer_id = $2";
            for row in tx.fetch::<IdentityRow>(sql, args![bucket_of(customer), customer]).await? {
                its.insert(row.read()?.0);
            }
        }
        its.extend(
            self.names
                .iter()
                .filter(|(_, h)| self.root(h.who.customer) == who.customer)
                .map(|(n, _)| n.clone()),
        );
        its.retain(|n| !self.forgotten.contains(n) || self.names.contains_key(n));
        let others = its.iter().any(|n| n.kind == IdentityKind::External && *n != name);
        if !others {
            self.nameless.insert(who.customer);
            if let Some(person) = self.person(who.customer) {
                person.lose_face();
            }
        }
        for gone in its.into_iter().filter(|n| *n == name || !others) {
            if gone.kind == IdentityKind::GuestEmail
                && let Some(systems) = self.guests.get_mut(&gone.value)
            {
                systems.remove(&gone.system);
            }
            self.names.remove(&gone);
            self.forgotten.insert(gone);
        }
        Ok(Some(who))
    }

    /// Writes customers, then what merges move, then names.
    pub(crate) async fn write(&mut self, tx: &mut Tx) -> Result<BTreeMap<CustomerId, (bool, bool)>> {
        let gone: Vec<Vec<Arg<'_>>> =
            self.forgotten.iter().map(|n| args![n.kind.as_str(), &n.value, &n.system]).collect();
        past::remove_rows(tx, "identity", "kind, value, system", gone, self.received_at).await?;
        let mut touched: Vec<&Person> = self.persons.values().filter(|p| p.is_new || p.is_touched).collect();
        touched.sort_unstable_by_key(|p| p.id);
        let mut rows = Vec::with_capacity(touched.len());
        for person in touched {
            rows.push(person.row(self.received_at)?);
        }
        tx.insert(Person::INSERT, rows, Person::REPLACE).await?;
        let mut pending = BTreeMap::new();
        for fold in &self.folds {
            let flags = fold.write(tx).await?;
            let root = self.root(fold.winner);
            let entry: &mut (bool, bool) = pending.entry(root).or_default();
            *entry = (entry.0 || flags.0, entry.1 || flags.1);
        }
        for customer in &self.nameless {
            let customer = self.root(*customer);
            let sql = "UPDATE delivery SET state = 'cancelled', done_at = $1,
                       written_at = CASE WHEN written_at < $1 THEN $1 ELSE written_at END
                       WHERE bucket = $2 AND customer_id = $3 AND state = 'pending'";
            tx.execute(sql, args![self.received_at, bucket_of(customer), customer]).await?;
            past::forget(tx, customer).await?;
        }
        let mut names: Vec<(&Name, &Held)> = self.names.iter().filter(|(_, held)| held.is_new).collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        let rows: Vec<Vec<Arg<'_>>> = names
            .into_iter()
            .map(|(name, held)| {
                let who = self.settled(held.who);
                let bucket = bucket_of(who.customer);
                let kind = name.kind.as_str();
                let heard = self.received_at;
                args![kind, &name.value, &name.system, bucket, who.customer, who.source, heard, heard]
            })
            .collect();
        let head = "INSERT INTO identity
            (kind, value, system, bucket, customer_id, source_customer_id, received_at, written_at)";
        tx.insert(head, rows, "").await?;
        Ok(pending)
    }
}

/// Why two names mean one person, in words.
fn reason(own: IdentityKind, other: IdentityKind) -> &'static str {
    match (own, other) {
        (IdentityKind::External, _) => "the same id in one system",
        (IdentityKind::Email, IdentityKind::Email) => "the same verified e-mail address",
        (IdentityKind::GuestEmail, IdentityKind::GuestEmail) => {
            "the same guest's e-mail address in one system"
        }
        _ => "a guest's e-mail address that is somebody's verified one",
    }
}

/// Whether a merge of the two was undone: then the operator has said that they are two.
async fn kept_apart(tx: &mut Tx, one: CustomerId, other: CustomerId) -> Result<bool> {
    let sql = "SELECT count(*) FROM merge WHERE undone_at IS NOT NULL
               AND ((winner = $1 AND loser = $2) OR (winner = $2 AND loser = $1))";
    let found: Option<(i64,)> = tx.first(sql, args![one, other]).await?;
    Ok(found.is_some_and(|(count,)| count > 0))
}

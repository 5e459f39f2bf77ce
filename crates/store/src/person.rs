//! A customer's row while a batch is being taken in: its profile and how words about it are merged, the latest
//! winning. Never decides who somebody is: `identity.rs` does.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zyklus_model::address::clean_text;
use zyklus_model::{At, CustomerId, CustomerRecord, Email, PhoneNumber, bucket_of};

use crate::arg::{Arg, Stamp, args};
use crate::column::named;
use crate::error::{Result, StoreError};
use crate::tx::{CHUNK, Sql, Tx};

const LONGEST_WORD: usize = 200;

/// What is merged word by word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Profile {
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) time_zone: Option<String>,
    pub(crate) has_account: bool,
    pub(crate) attributes: BTreeMap<String, serde_json::Value>,
}

impl Profile {
    /// Takes out what tells who somebody is; says whether there was anything.
    pub(crate) fn lose_face(&mut self) -> bool {
        let Profile { email, phone, first_name, last_name, attributes, .. } = self;
        let words = [email, phone, first_name, last_name];
        let had = words.into_iter().filter_map(Option::take).count() > 0 || !attributes.is_empty();
        attributes.clear();
        had
    }

    /// What a record says, cleaned.
    pub(crate) fn of(record: &CustomerRecord, email: Option<&Email>) -> Self {
        let word = |text: &Option<String>| {
            text.as_deref().map(|t| clean_text(t, LONGEST_WORD)).filter(|t| !t.is_empty())
        };
        Profile {
            email: email.map(|e| e.as_str().to_owned()),
            phone: record.phone.as_deref().and_then(PhoneNumber::parse).map(|p| p.as_str().to_owned()),
            first_name: word(&record.first_name),
            last_name: word(&record.last_name),
            locale: word(&record.locale).map(|l| l.replace('_', "-")),
            country: word(&record.country).map(|c| c.to_uppercase()),
            time_zone: word(&record.time_zone),
            has_account: record.has_account == Some(true),
            attributes: record.attributes.clone(),
        }
    }

    fn words_mut(&mut self) -> [&mut Option<String>; 7] {
        [
            &mut self.email,
            &mut self.phone,
            &mut self.first_name,
            &mut self.last_name,
            &mut self.locale,
            &mut self.country,
            &mut self.time_zone,
        ]
    }

    /// Takes over what the other says: everything when `wins`, otherwise only what is missing here. An account
    /// that was ever reported stays.
    fn merge(&mut self, mut other: Profile, wins: bool) {
        for (mine, theirs) in self.words_mut().into_iter().zip(other.words_mut()) {
            if theirs.is_some() && (wins || mine.is_none()) {
                *mine = theirs.take();
            }
        }
        self.has_account |= other.has_account;
        for (name, value) in other.attributes {
            if wins {
                self.attributes.insert(name, value);
            } else {
                self.attributes.entry(name).or_insert(value);
            }
        }
    }

    /// Takes back what a merge changed from `before` to `after`, unless it was changed again since.
    pub(crate) fn revert(&mut self, mut before: Profile, mut after: Profile) {
        let pairs = before.words_mut().into_iter().zip(after.words_mut());
        for (mine, (before, after)) in self.words_mut().into_iter().zip(pairs) {
            if mine == after {
                *mine = before.take();
            }
        }
        if self.has_account == after.has_account {
            self.has_account = before.has_account;
        }
        for (name, value) in after.attributes {
            if self.attributes.get(&name) == Some(&value) {
                match before.attributes.remove(&name) {
                    Some(old) => self.attributes.insert(name, old),
                    None => self.attributes.remove(&name),
                };
            }
        }
    }
}

/// A customer in memory.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: CustomerId,
    pub(crate) profile: Profile,
    pub(crate) created_at: At,
    pub(crate) profile_at: Option<At>,
    pub(crate) received_at: At,
    pub(crate) merged_into: Option<CustomerId>,
    pub(crate) is_new: bool,
    /// Whether the row has to be written.
    pub(crate) is_touched: bool,
    /// Whether something changed that a decision may depend on.
    pub(crate) is_changed: bool,
}

impl Person {
    pub(crate) const INSERT: &'static str = "INSERT INTO customer
        (bucket, id, email, phone, first_name, last_name, locale, country, time_zone, created_at, has_account,
         attributes, profile_at, received_at, merged_into, written_at)";
    pub(crate) const REPLACE: &'static str = " ON CONFLICT (bucket, id) DO UPDATE SET
        email = excluded.email, phone = excluded.phone, first_name = excluded.first_name,
        last_name = excluded.last_name, locale = excluded.locale, country = excluded.country,
        time_zone = excluded.time_zone, created_at = excluded.created_at, has_account = excluded.has_account,
        attributes = excluded.attributes, profile_at = excluded.profile_at, merged_into = excluded.merged_into,
        written_at = CASE WHEN customer.written_at < excluded.written_at THEN excluded.written_at
        ELSE customer.written_at END";

    pub(crate) fn new(id: CustomerId, created_at: At, received_at: At) -> Self {
        Person {
            id,
            profile: Profile::default(),
            created_at,
            profile_at: None,
            received_at,
            merged_into: None,
            is_new: true,
            is_touched: true,
            is_changed: true,
        }
    }

    pub(crate) fn row(&self, now: At) -> Result<Vec<Arg<'_>>> {
        let p = &self.profile;
        let attributes =
            serde_json::to_string(&p.attributes).map_err(|e| StoreError::unreadable("attributes", e))?;
        Ok(args![
            bucket_of(self.id),
            self.id,
            p.email.as_deref(),
            p.phone.as_deref(),
            p.first_name.as_deref(),
            p.last_name.as_deref(),
            p.locale.as_deref(),
            p.country.as_deref(),
            p.time_zone.as_deref(),
            self.created_at,
            p.has_account,
            attributes,
            self.profile_at,
            self.received_at,
            self.merged_into,
            now,
        ])
    }

    fn note(&mut self, changed: bool) {
        self.is_touched |= changed;
        self.is_changed |= changed;
    }

    /// A fact of that instant is about them, so they existed.
    pub(crate) fn existed(&mut self, at: At) {
        let earlier = at < self.created_at;
        if earlier {
            self.created_at = at;
        }
        self.note(earlier);
    }

    pub(crate) fn fill_email(&mut self, email: Option<&Email>) {
        if let Some(email) = email
            && self.profile.email.is_none()
        {
            self.profile.email = Some(email.as_str().to_owned());
            self.note(true);
        }
    }

    /// No shop knows them any more: what tells who they are goes, so nobody can write to them either. Language, country
    /// and time zone stay with the facts.
    pub(crate) fn lose_face(&mut self) {
        let had = self.profile.lose_face();
        self.note(had);
    }

    /// A customer record's words. Returns whether they are the latest.
    pub(crate) fn learn(&mut self, words: Profile, updated_at: Option<At>, received_at: At) -> bool {
        // A clock that is ahead must not make every later word look older.
        let said_at = updated_at.unwrap_or(received_at).min(received_at);
        let wins = self.profile_at.is_none_or(|at| said_at >= at);
        let before = self.profile.clone();
        self.profile.merge(words, wins);
        let changed = self.profile != before;
        // A word without an instant that says nothing new is the same word, heard again.
        if wins
            && self.profile_at != Some(said_at)
            && (changed || updated_at.is_some() || self.profile_at.is_none())
        {
            self.profile_at = Some(said_at);
            self.is_touched = true;
        }
        self.note(changed);
        wins
    }

    /// What an order says about its guest: only fills gaps.
    pub(crate) fn fill(&mut self, words: Profile) {
        let before = self.profile.clone();
        self.profile.merge(words, false);
        let changed = self.profile != before;
        self.note(changed);
    }

    /// Takes over the profile of a customer folded in.
    pub(crate) fn take_over(&mut self, other: &Person) {
        let wins = other.profile_at > self.profile_at;
        self.profile.merge(other.profile.clone(), wins);
        self.profile_at = self.profile_at.max(other.profile_at);
        self.created_at = self.created_at.min(other.created_at);
        self.note(true);
    }
}

named! {
    struct CustomerRow {
        id: Uuid,
        email: Option<String>,
        phone: Option<String>,
        first_name: Option<String>,
        last_name: Option<String>,
        locale: Option<String>,
        country: Option<String>,
        time_zone: Option<String>,
        created_at: Stamp,
        has_account: bool,
        attributes: String,
        profile_at: Option<Stamp>,
        received_at: Stamp,
        merged_into: Option<Uuid>,
    }
}

/// Loads customers by id, merged ones too.
pub(crate) async fn load_persons(tx: &mut Tx, ids: &[CustomerId]) -> Result<HashMap<CustomerId, Person>> {
    let mut persons = HashMap::with_capacity(ids.len());
    for some in ids.chunks(CHUNK) {
        let mut sql = Sql::new(
            tx.dialect(),
            "SELECT id, email, phone, first_name, last_name, locale, country, time_zone, created_at, has_account,
                 attributes, profile_at, received_at, merged_into FROM customer WHERE id IN ",
        );
        sql.list(some.iter().copied());
        for row in tx.rows::<CustomerRow>(sql).await? {
            let id = CustomerId::from_uuid(row.id);
            let attributes = match row.attributes.as_str() {
                "{}" => BTreeMap::new(),
                text => serde_json::from_str(text).map_err(|e| StoreError::unreadable("attributes", e))?,
            };
            let profile = Profile {
                email: row.email,
                phone: row.phone,
                first_name: row.first_name,
                last_name: row.last_name,
                locale: row.locale,
                country: row.country,
                time_zone: row.time_zone,
                has_account: row.has_account,
                attributes,
            };
            let person = Person {
                id,
                profile,
                created_at: row.created_at.0,
                profile_at: row.profile_at.map(|at| at.0),
                received_at: row.received_at.0,
                merged_into: row.merged_into.map(CustomerId::from_uuid),
                is_new: false,
                is_touched: false,
                is_changed: false,
            };
            persons.insert(id, person);
        }
    }
    Ok(persons)
}

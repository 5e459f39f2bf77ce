//! Columns on their way out: rows are read by position, words and JSON straight from the text the database holds.
//! Never builds SQL.

use serde::de::DeserializeOwned;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::sqlite::{SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Postgres, Sqlite, Type};
use zyklus_model as model;

/// A row whose fields are the columns of a SELECT, in order: reading by name looks every name up for every row.
macro_rules! columns {
    ($row:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        pub(crate) struct $row { $(pub(crate) $field: $type),+ }

        $crate::column::columns!(@from $row, from_sqlite, sqlx::sqlite::SqliteRow, $($field),+);
        $crate::column::columns!(@from $row, from_postgres, sqlx::postgres::PgRow, $($field),+);

        impl $row {
            /// Reads it where it begins at column `next` of SQLite's own row.
            pub(crate) fn from_direct(row: &rusqlite::Row<'_>, mut next: usize) -> rusqlite::Result<Self> {
                $(
                    let $field = row.get(next)?;
                    next += 1;
                )+
                let _ = next;
                Ok($row { $($field),+ })
            }
        }

        impl $crate::direct::Direct for $row {
            fn direct(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                Self::from_direct(row, 0)
            }
        }
    };
    (@from $row:ident, $from:ident, $source:ty, $($field:ident),+) => {
        impl $row {
            /// Reads it where it begins at column `next`.
            pub(crate) fn $from(row: &$source, mut next: usize) -> Result<Self, sqlx::Error> {
                $(
                    let $field = sqlx::Row::try_get(row, next)?;
                    next += 1;
                )+
                let _ = next;
                Ok($row { $($field),+ })
            }
        }

        impl<'r> sqlx::FromRow<'r, $source> for $row {
            fn from_row(row: &'r $source) -> Result<Self, sqlx::Error> {
                Self::$from(row, 0)
            }
        }
    };
}
pub(crate) use columns;

/// A row whose fields are read by the names of the columns, for what is read now and then.
macro_rules! named {
    ($(#[$of:meta])* $seen:vis struct $row:ident { $($(#[$kept:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$of])*
        #[derive(sqlx::FromRow)]
        $seen struct $row { $($(#[$kept])* $field: $type),+ }

        impl $crate::direct::Direct for $row {
            fn direct(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                Ok($row { $($field: row.get(stringify!($field))?),+ })
            }
        }
    };
}
pub(crate) use named;

/// A type whose values are stored as words.
pub(crate) trait Words: Sized {
    fn from_word(word: &str) -> Option<Self>;
}

macro_rules! words {
    ($($type:ty),+ $(,)?) => {
        $(impl Words for $type {
            fn from_word(word: &str) -> Option<Self> { <$type>::parse(word) }
        })+
    };
}

words!(
    model::Channel,
    model::Purpose,
    model::ConsentState,
    model::LegalBasis,
    model::SuppressionReason,
    model::IdentityKind,
    model::OrderState,
    model::FeedbackKind,
    model::Origin,
    model::RunState,
    model::Holdout,
    model::RunEnd,
    model::DeliveryKind,
    model::DeliveryState,
    model::ReceiptKind,
    model::GuardReason,
    model::TransitionCause,
);

impl Words for model::Currency {
    fn from_word(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

/// A word of a closed list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<T>(pub(crate) T);

/// A JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Doc<T>(pub(crate) T);

pub(crate) fn word<T: Words>(text: &str) -> Result<Word<T>, BoxDynError> {
    T::from_word(text).map(Word).ok_or_else(|| format!("`{text}` is not a word this program knows").into())
}

pub(crate) fn doc<T: DeserializeOwned>(text: &str) -> Result<Doc<T>, BoxDynError> {
    Ok(Doc(serde_json::from_str(text)?))
}

macro_rules! from_text {
    ($name:ident, $bound:ident, $read:ident) => {
        impl<T: $bound> Type<Sqlite> for $name<T> {
            fn type_info() -> SqliteTypeInfo {
                <str as Type<Sqlite>>::type_info()
            }
            fn compatible(ty: &SqliteTypeInfo) -> bool {
                <str as Type<Sqlite>>::compatible(ty)
            }
        }

        impl<'r, T: $bound> Decode<'r, Sqlite> for $name<T> {
            fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
                $read(<&str as Decode<'r, Sqlite>>::decode(value)?)
            }
        }

        impl<T: $bound> Type<Postgres> for $name<T> {
            fn type_info() -> PgTypeInfo {
                <str as Type<Postgres>>::type_info()
            }
            fn compatible(ty: &PgTypeInfo) -> bool {
                <str as Type<Postgres>>::compatible(ty)
            }
        }

        impl<'r, T: $bound> Decode<'r, Postgres> for $name<T> {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                $read(<&str as Decode<'r, Postgres>>::decode(value)?)
            }
        }
    };
}

from_text!(Word, Words, word);
from_text!(Doc, DeserializeOwned, doc);

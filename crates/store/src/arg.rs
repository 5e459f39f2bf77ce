//! Values on their way into and out of both databases: one type for every bound argument, and the mapping of
//! instants (INTEGER microseconds in SQLite, TIMESTAMPTZ in PostgreSQL). Never builds SQL.

use std::borrow::Cow;

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, PgValueRef};
use sqlx::sqlite::{SqliteArguments, SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Arguments, Decode, Encode, Postgres, Sqlite, Type};
use uuid::Uuid;
use zyklus_model::{
    At, AttemptId, CustomerId, DeliveryId, EventId, FeedbackId, MergeId, OrderId, ProductId, RunId,
    TransitionId,
};

/// PostgreSQL counts from 2000-01-01.
const PG_EPOCH_MICROS: i64 = 946_684_800_000_000;
const PG_TIMESTAMPTZ: sqlx::postgres::types::Oid = sqlx::postgres::types::Oid(1184);

/// An instant as the databases see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp(pub(crate) At);

impl Type<Sqlite> for Stamp {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }
    fn compatible(ty: &SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(ty)
    }
}

impl Encode<'_, Sqlite> for Stamp {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<'_, Sqlite>>::encode_by_ref(&self.0.as_micros(), buffer)
    }
}

impl Decode<'_, Sqlite> for Stamp {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        <i64 as Decode<'_, Sqlite>>::decode(value).map(|micros| Stamp(At::from_micros(micros)))
    }
}

impl Type<Postgres> for Stamp {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(PG_TIMESTAMPTZ)
    }
    fn compatible(ty: &PgTypeInfo) -> bool {
        ty.oid() == Some(PG_TIMESTAMPTZ)
    }
}

impl Encode<'_, Postgres> for Stamp {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<'_, Postgres>>::encode_by_ref(&(self.0.as_micros() - PG_EPOCH_MICROS), buffer)
    }
}

impl Decode<'_, Postgres> for Stamp {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let bytes: [u8; 8] = value.as_bytes()?.try_into()?;
        Ok(Stamp(At::from_micros(i64::from_be_bytes(bytes).saturating_add(PG_EPOCH_MICROS))))
    }
}

/// One bound argument. A text may be somebody else's: SQLite's writer binds it as it is.
#[derive(Debug, Clone)]
pub(crate) enum Arg<'a> {
    Int(Option<i64>),
    Bool(bool),
    Float(Option<f64>),
    Text(Option<Cow<'a, str>>),
    Uuid(Option<Uuid>),
    At(Option<At>),
    /// Many buckets at once: a JSON list in SQLite; like the next an array in PostgreSQL.
    Buckets(Vec<i16>),
    /// Many ids at once: in SQLite one BLOB, 16 bytes after 16 bytes.
    Ids(Vec<Uuid>),
}

impl Arg<'_> {
    /// The same with a text of its own.
    pub(crate) fn into_owned(self) -> Arg<'static> {
        match self {
            Arg::Text(v) => Arg::Text(v.map(|v| Cow::Owned(v.into_owned()))),
            Arg::Int(v) => Arg::Int(v),
            Arg::Bool(v) => Arg::Bool(v),
            Arg::Float(v) => Arg::Float(v),
            Arg::Uuid(v) => Arg::Uuid(v),
            Arg::At(v) => Arg::At(v),
            Arg::Buckets(v) => Arg::Buckets(v),
            Arg::Ids(v) => Arg::Ids(v),
        }
    }
}

macro_rules! from {
    ($($type:ty => |$v:ident| $arg:expr),+ $(,)?) => {
        $(impl<'a> From<$type> for Arg<'a> { fn from($v: $type) -> Self { $arg } })+
    };
}

from! {
    i64 => |v| Arg::Int(Some(v)),
    i16 => |v| Arg::Int(Some(i64::from(v))),
    Option<i64> => |v| Arg::Int(v),
    bool => |v| Arg::Bool(v),
    Option<f64> => |v| Arg::Float(v),
    &'a str => |v| Arg::Text(Some(Cow::Borrowed(v))),
    &'a String => |v| Arg::Text(Some(Cow::Borrowed(v))),
    String => |v| Arg::Text(Some(Cow::Owned(v))),
    Option<String> => |v| Arg::Text(v.map(Cow::Owned)),
    Option<&'a str> => |v| Arg::Text(v.map(Cow::Borrowed)),
    Uuid => |v| Arg::Uuid(Some(v)),
    Option<Uuid> => |v| Arg::Uuid(v),
    At => |v| Arg::At(Some(v)),
    Option<At> => |v| Arg::At(v),
}

macro_rules! from_ids {
    ($($id:ident),+) => {
        $(impl From<$id> for Arg<'_> { fn from(v: $id) -> Self { Arg::Uuid(Some(v.uuid())) } }
          impl From<Option<$id>> for Arg<'_> { fn from(v: Option<$id>) -> Self { Arg::Uuid(v.map($id::uuid)) } })+
    };
}

from_ids!(
    AttemptId,
    CustomerId,
    DeliveryId,
    EventId,
    FeedbackId,
    MergeId,
    OrderId,
    ProductId,
    RunId,
    TransitionId
);

/// A list of bound arguments.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::arg::Arg::from($value)),*] };
}
pub(crate) use args;

/// The same for one of very many rows, for which nothing is put on the heap.
macro_rules! row {
    ($($value:expr),* $(,)?) => { [$($crate::arg::Arg::from($value)),*] };
}
pub(crate) use row;

/// Binds one argument; encoding our own types cannot fail.
macro_rules! add {
    ($list:expr, $value:expr) => {
        $list.add($value).expect("numbers, texts, ids and instants always encode")
    };
}

pub(crate) fn sqlite(args: Vec<Arg<'_>>) -> SqliteArguments {
    let mut list = SqliteArguments::default();
    list.reserve(args.len(), 0);
    for arg in args {
        match arg {
            Arg::Int(v) => add!(list, v),
            Arg::Bool(v) => add!(list, v),
            Arg::Float(v) => add!(list, v),
            Arg::Text(v) => add!(list, v.map(Cow::into_owned)),
            Arg::Uuid(v) => add!(list, v),
            Arg::At(v) => add!(list, v.map(Stamp)),
            Arg::Buckets(v) => add!(list, list_text(&v)),
            Arg::Ids(v) => add!(list, v.into_iter().flat_map(Uuid::into_bytes).collect::<Vec<u8>>()),
        }
    }
    list
}

/// `[1,2,3]`.
pub(crate) fn list_text(values: &[i16]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("[");
    for (n, value) in values.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        write!(text, "{comma}{value}").expect("writing to a String");
    }
    text.push(']');
    text
}

pub(crate) fn postgres(args: Vec<Arg<'_>>) -> PgArguments {
    let mut list = PgArguments::default();
    list.reserve(args.len(), args.len() * 16);
    for arg in args {
        match arg {
            Arg::Int(v) => add!(list, v),
            Arg::Bool(v) => add!(list, v),
            Arg::Float(v) => add!(list, v),
            Arg::Text(v) => add!(list, v.map(Cow::into_owned)),
            Arg::Uuid(v) => add!(list, v),
            Arg::At(v) => add!(list, v.map(Stamp)),
            Arg::Buckets(v) => add!(list, v),
            Arg::Ids(v) => add!(list, v),
        }
    }
    list
}

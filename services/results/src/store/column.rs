//! Types of columns that the driver does not bring in the shape we want.

use bytes::Bytes;
use jiff::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// A `timestamptz`: microseconds, finer digits are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Timestamp);

/// 2000-01-01 in microseconds since 1970, from where PostgreSQL counts.
const EPOCH: i64 = 946_684_800_000_000;

/// OID of `timestamptz`, the same in every PostgreSQL.
const TIMESTAMPTZ: Oid = Oid(1184);

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        ty.oid() == Some(TIMESTAMPTZ)
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let since = self.0.as_microsecond().checked_sub(EPOCH).ok_or("time out of range")?;
        buffer.extend_from_slice(&since.to_be_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for Time {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Ok(Self(value.as_str()?.parse()?));
        }
        let since = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        // `infinity` and years that we cannot count are as late, or as early, as can be said.
        let since_1970 = since.saturating_add(EPOCH);
        let time = Timestamp::from_microsecond(since_1970).unwrap_or(if since_1970 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        });
        Ok(Self(time))
    }
}

/// A `jsonb` as its text, which is not parsed on the way: a run has up to several megabytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonText(pub(crate) Bytes);

/// First byte of a `jsonb` on the wire: the version of the format.
const JSONB_VERSION: u8 = 1;

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        <sqlx::types::Json<()> as Type<Postgres>>::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        <sqlx::types::Json<()> as Type<Postgres>>::compatible(ty)
    }
}

impl Encode<'_, Postgres> for JsonText {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.push(JSONB_VERSION);
        buffer.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn size_hint(&self) -> usize {
        self.0.len() + 1
    }
}

impl<'r> Decode<'r, Postgres> for JsonText {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let bytes = value.as_bytes()?;
        let text = match bytes.split_first() {
            Some((&JSONB_VERSION, text)) if value.format() == PgValueFormat::Binary => text,
            _ => bytes,
        };
        Ok(Self(Bytes::copy_from_slice(text)))
    }
}

//! `google.protobuf.Timestamp`, with the JSON that protobuf prescribes and conversions from and to jiff.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant: seconds since 1970 in UTC, and nanoseconds (0 to 999,999,999) forward from there.
///
/// As JSON: `2024-04-01T08:30:00Z`, with 3, 6 or 9 digits of a second if it has a fraction; input takes any offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// Why a message's time is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("time {seconds} s + {nanos} ns is outside the years 1 to 9999; give one inside")]
    Range { seconds: i64, nanos: i32 },
    #[error("`{0}` is no time; write it as 2024-04-01T08:30:00Z")]
    Text(String),
}

/// First second that protobuf allows, 0001-01-01T00:00:00Z, and last that jiff holds, 9999-12-30T22:00:00Z: 26 hours
/// before protobuf's.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_207_200;

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
        // jiff's fraction has the sign of the seconds; protobuf's is never negative.
        if nanos < 0 {
            Self { seconds: seconds - 1, nanos: nanos + 1_000_000_000 }
        } else {
            Self { seconds, nanos }
        }
    }
}

impl TryFrom<Timestamp> for jiff::Timestamp {
    type Error = Error;

    fn try_from(Timestamp { seconds, nanos }: Timestamp) -> Result<Self, Error> {
        let range = || Error::Range { seconds, nanos };
        if !SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
            return Err(range());
        }
        jiff::Timestamp::new(seconds, nanos).map_err(|_| range())
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let time: jiff::Timestamp = text.parse().map_err(|_| Error::Text(text.to_owned()))?;
        let time = Self::from(time);
        jiff::Timestamp::try_from(time)?;
        Ok(time)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::try_from(*self).map_err(|_| fmt::Error)?;
        match self.nanos {
            0 => write!(f, "{time:.0}"),
            nanos if nanos % 1_000_000 == 0 => write!(f, "{time:.3}"),
            nanos if nanos % 1_000 == 0 => write!(f, "{time:.6}"),
            _ => write!(f, "{time:.9}"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Asked here, since a `Display` that fails panics in `to_string`.
        jiff::Timestamp::try_from(*self).map_err(serde::ser::Error::custom)?;
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2024-04-01T08:30:00Z")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::whole("2024-04-01T08:30:00Z", "2024-04-01T08:30:00Z")]
    #[case::offset("2024-04-01T10:30:00+02:00", "2024-04-01T08:30:00Z")]
    #[case::milliseconds("2024-04-01T08:30:00.5Z", "2024-04-01T08:30:00.500Z")]
    #[case::microseconds("2024-04-01T08:30:00.000250Z", "2024-04-01T08:30:00.000250Z")]
    #[case::nanoseconds("2024-04-01T08:30:00.000000001Z", "2024-04-01T08:30:00.000000001Z")]
    #[case::before_1970("1969-12-31T23:59:59.250Z", "1969-12-31T23:59:59.250Z")]
    #[case::first("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z")]
    #[case::last("9999-12-30T22:00:00.999999999Z", "9999-12-30T22:00:00.999999999Z")]
    fn writes_as_the_reference_does(#[case] input: &str, #[case] expected: &str) {
        let time: Timestamp = serde_json::from_value(input.into()).unwrap();
        assert_eq!(serde_json::to_value(time).unwrap(), expected);
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_offset("2024-04-01T08:30:00")]
    #[case::before_year_one("-000001-01-01T00:00:00Z")]
    #[case::words("yesterday")]
    #[case::after_the_last("9999-12-31T23:59:59Z")]
    fn refuses(#[case] input: &str) {
        assert!(serde_json::from_value::<Timestamp>(input.into()).is_err());
    }

    #[rstest]
    #[case(Timestamp { seconds: i64::MAX, nanos: 0 })]
    #[case(Timestamp { seconds: 0, nanos: -1 })]
    #[case(Timestamp { seconds: 0, nanos: 1_000_000_000 })]
    fn a_wild_message_is_an_error_and_no_panic(#[case] wild: Timestamp) {
        assert!(jiff::Timestamp::try_from(wild).is_err());
        assert!(serde_json::to_string(&wild).is_err());
    }

    proptest! {
        #[test]
        fn comes_back_from_text_bytes_and_jiff(seconds in SECONDS, nanos in 0..1_000_000_000_i32) {
            let time = Timestamp { seconds, nanos };
            prop_assert_eq!(Timestamp::from(jiff::Timestamp::try_from(time).unwrap()), time);
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
            prop_assert_eq!(Timestamp::decode(time.encode_to_vec().as_slice()).unwrap(), time);
        }
    }
}

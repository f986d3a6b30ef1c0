//! By which time rules are judged: what is effective from a later day on is a warning until then.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// What `--effective-time` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EffectiveTime {
    /// The moment at which the run began.
    #[default]
    Now,
    /// When each image was built, as its provenance says.
    Attestation,
    At(Timestamp),
}

/// What is no effective time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "effective time {0:?}: it is `now`, `attestation`, a time as 2024-03-01T12:00:00Z (RFC 3339), or a day as \
     2024-03-01"
)]
pub struct BadEffectiveTime(String);

impl FromStr for EffectiveTime {
    type Err = BadEffectiveTime;

    fn from_str(text: &str) -> Result<Self, BadEffectiveTime> {
        match text {
            "now" => Ok(Self::Now),
            "attestation" => Ok(Self::Attestation),
            _ => parse(text).map(Self::At).ok_or_else(|| BadEffectiveTime(text.chars().take(64).collect())),
        }
    }
}

impl EffectiveTime {
    /// The time of a run that began at `now`.
    pub fn of_run(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Now | Self::Attestation => now,
            Self::At(time) => time,
        }
    }

    /// The time of an image of which provenance says that it was built at `built`. Where it says nothing, that of the
    /// run: by then more rules are effective than by any time before.
    pub fn of_image(self, run: Timestamp, built: Option<Timestamp>) -> Timestamp {
        match self {
            Self::Attestation => built.unwrap_or(run),
            Self::Now | Self::At(_) => run,
        }
    }
}

/// A time (RFC 3339), or the begin of a day (UTC).
fn parse(text: &str) -> Option<Timestamp> {
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|begin| begin.timestamp());
    if text.contains(['T', 't']) { text.parse().ok() } else { day() }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::now("now", EffectiveTime::Now)]
    #[case::by_image("attestation", EffectiveTime::Attestation)]
    #[case::utc("2024-03-01T12:00:00Z", EffectiveTime::At(at("2024-03-01T12:00:00Z")))]
    #[case::elsewhere("2024-03-01T12:00:00+02:00", EffectiveTime::At(at("2024-03-01T10:00:00Z")))]
    #[case::day("2024-03-01", EffectiveTime::At(at("2024-03-01T00:00:00Z")))]
    fn reads(#[case] text: &str, #[case] expected: EffectiveTime) {
        assert_eq!(text.parse(), Ok(expected));
    }

    #[rstest]
    fn refuses_with_the_forms_that_it_takes(
        #[values("", "yesterday", "2024-03", "2024-02-30", "12:00", "Now", "2024-03-01T12:00")] text: &str,
    ) {
        let error = text.parse::<EffectiveTime>().unwrap_err().to_string();
        assert!(error.contains("`now`, `attestation`") && error.contains("2024-03-01T12:00:00Z"), "{error}");
    }

    #[test]
    fn only_attestation_looks_at_the_image() {
        let (run, built) = (at("2024-03-01T00:00:00Z"), at("2023-03-01T00:00:00Z"));
        assert_eq!(EffectiveTime::Now.of_image(run, Some(built)), run);
        assert_eq!(EffectiveTime::Attestation.of_image(run, Some(built)), built);
        assert_eq!(EffectiveTime::Attestation.of_image(run, None), run);
        let fixed = EffectiveTime::At(built);
        assert_eq!(fixed.of_run(run), built);
        assert_eq!(fixed.of_image(fixed.of_run(run), Some(run)), built);
    }
}

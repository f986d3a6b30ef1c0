//! What an answer says about trying again. Pure.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};

/// A server that wants more is asked again after this anyway.
const LONGEST_HOLD: Duration = Duration::from_hours(1);

/// The first pause between two tries, if the server says nothing. Doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Numbers from here on are seconds since 1970, below it seconds from now: servers disagree on what a reset is.
const EARLIEST_EPOCH: i64 = 1_000_000_000;

/// What to do after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// It is the answer.
    Done,
    /// The server, or something before it, is in trouble.
    Again { after: Option<Duration> },
    /// The caller's allowance is used up.
    Limited { after: Option<Duration> },
}

pub(super) fn advice(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Advice {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let retry_after = || {
        let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(at.duration_since(now).try_into().unwrap_or_default())
    };
    let reset = || {
        // GitHub, GitLab, the draft of a standard.
        let at = ["x-ratelimit-reset", "ratelimit-reset"].into_iter().find_map(number)?;
        let from_now = if at >= EARLIEST_EPOCH { at.saturating_sub(now.as_second()) } else { at };
        Some(Duration::from_secs(u64::try_from(from_now).unwrap_or(0)))
    };
    let is_used_up =
        || ["x-ratelimit-remaining", "ratelimit-remaining"].into_iter().any(|name| number(name) == Some(0));
    let after = |delay: Option<Duration>| delay.map(|delay| delay.min(LONGEST_HOLD));
    match status {
        StatusCode::TOO_MANY_REQUESTS => Advice::Limited { after: after(retry_after().or_else(reset)) },
        // GitHub says so as well; any other 403 is about rights.
        StatusCode::FORBIDDEN if is_used_up() => {
            Advice::Limited { after: after(retry_after().or_else(reset)) }
        }
        StatusCode::FORBIDDEN if retry_after().is_some() => Advice::Limited { after: after(retry_after()) },
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Advice::Again { after: after(retry_after()) }
        }
        _ => Advice::Done,
    }
}

/// How long to wait before try number `attempt` (the first retry is 1). Random, so that callers do not return together.
pub(super) fn pause(attempt: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(8)).min(LONGEST_PAUSE);
    longest.mul_f64(rand::random_range(0.5..=1.0))
}

/// The moment that is `after` from now, as people read it.
pub(super) fn moment(now: Timestamp, after: Duration) -> Timestamp {
    SignedDuration::try_from(after).ok().and_then(|after| now.checked_add(after).ok()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use rstest::rstest;

    use super::*;

    const fn again(seconds: Option<u64>) -> Advice {
        match seconds {
            Some(seconds) => Advice::Again { after: Some(Duration::from_secs(seconds)) },
            None => Advice::Again { after: None },
        }
    }

    const fn limited(seconds: Option<u64>) -> Advice {
        match seconds {
            Some(seconds) => Advice::Limited { after: Some(Duration::from_secs(seconds)) },
            None => Advice::Limited { after: None },
        }
    }

    // Now is 2024-03-01T12:00:00Z, 1709294400.
    #[rstest]
    #[case::fine(200, &[], Advice::Done)]
    #[case::fine_and_last_of_its_allowance(200, &[("x-ratelimit-remaining", "0")], Advice::Done)]
    #[case::broken(500, &[("retry-after", "1")], Advice::Done)]
    #[case::away(503, &[], again(None))]
    #[case::away_for_a_while(503, &[("retry-after", "7")], again(Some(7)))]
    #[case::away_until(503, &[("retry-after", "Fri, 01 Mar 2024 12:00:30 GMT")], again(Some(30)))]
    #[case::away_until_the_past(503, &[("retry-after", "Fri, 01 Mar 2024 11:00:00 GMT")], again(Some(0)))]
    #[case::away_for_nonsense(503, &[("retry-after", "soon")], again(None))]
    #[case::away_for_less_than_nothing(503, &[("retry-after", "-5")], again(None))]
    #[case::gateways(502, &[], again(None))]
    #[case::slow_gateways(504, &[], again(None))]
    #[case::too_many(429, &[], limited(None))]
    #[case::too_many_for(429, &[("retry-after", "9")], limited(Some(9)))]
    #[case::too_many_until(429, &[("ratelimit-reset", "1709294460")], limited(Some(60)))]
    #[case::too_many_for_by_draft(429, &[("ratelimit-reset", "60")], limited(Some(60)))]
    #[case::retry_after_wins(429, &[("retry-after", "9"), ("x-ratelimit-reset", "1709294460")], limited(Some(9)))]
    #[case::ten_years(429, &[("retry-after", "315360000")], limited(Some(3600)))]
    #[case::used_up(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1709294500")], limited(Some(100)))]
    #[case::used_up_in_the_past(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1709290000")], limited(Some(0)))]
    #[case::secondary_limit(403, &[("retry-after", "30")], limited(Some(30)))]
    #[case::no_right(403, &[("x-ratelimit-remaining", "10"), ("x-ratelimit-reset", "1709294500")], Advice::Done)]
    fn reads(
        #[case] status: u16,
        #[case] headers: &[(&'static str, &'static str)],
        #[case] expected: Advice,
    ) {
        let now = "2024-03-01T12:00:00Z".parse().unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        assert_eq!(advice(StatusCode::from_u16(status).unwrap(), &headers, now), expected);
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        for attempt in 1..100 {
            let longest = FIRST_PAUSE * 2_u32.saturating_pow(attempt - 1).min(16);
            let pause = pause(attempt);
            assert!(
                pause >= longest.min(LONGEST_PAUSE) / 2 && pause <= LONGEST_PAUSE,
                "{attempt}: {pause:?}"
            );
        }
    }
}

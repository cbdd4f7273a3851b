//! The time as headers and log lines want it, formatted once per second and worker.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Formatted wall-clock time of one worker.
pub struct Clock {
    cached: RefCell<Formatted>,
}

struct Formatted {
    second: u64,
    http_date: String,
    rfc3339: String,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            cached: RefCell::new(Formatted {
                second: u64::MAX,
                http_date: String::new(),
                rfc3339: String::new(),
            }),
        }
    }
}

impl Clock {
    /// Calls `write` with the value of a `Date` field and an RFC 3339 time with microseconds.
    pub fn with_now<T>(&self, write: impl FnOnce(&str, &str) -> T) -> T {
        let now = SystemTime::now();
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut cached = self.cached.borrow_mut();
        let second = since_epoch.as_secs();
        if cached.second != second {
            cached.second = second;
            cached.http_date = httpdate::fmt_http_date(now.max(UNIX_EPOCH));
            cached.rfc3339.clear();
            write_seconds(&mut cached.rfc3339, second);
        }
        cached.rfc3339.truncate(SECONDS_LEN);
        write_fraction(&mut cached.rfc3339, since_epoch.subsec_micros());
        write(&cached.http_date, &cached.rfc3339)
    }
}

/// Bytes of a time without its fraction, until the year 10000.
const SECONDS_LEN: usize = "2000-01-01T00:00:00".len();

fn write_seconds(out: &mut String, seconds: u64) {
    let (year, month, day) = civil_date(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    );
}

fn write_fraction(out: &mut String, micros: u32) {
    let _ = write!(out, ".{micros:06}Z");
}

/// Gregorian date of a day counted from 1970-01-01, with years counted from March so that the
/// leap day comes last.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let since_march_of_0 = days + 719_468;
    let era = since_march_of_0 / 146_097;
    let day_of_era = since_march_of_0 % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_around_leap_days_and_year_ends() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_088, (2024, 12, 31)),
            (20_089, (2025, 1, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil_date(days), expected, "day {days}");
        }
    }

    #[test]
    fn rfc3339_is_padded() {
        let mut out = String::new();
        write_seconds(&mut out, 951_782_401);
        assert_eq!(out.len(), SECONDS_LEN);
        write_fraction(&mut out, 42);
        assert_eq!(out, "2000-02-29T00:00:01.000042Z");
    }

    #[test]
    fn both_forms_name_the_same_second() {
        let (date, rfc3339) = Clock::default().with_now(|d, r| (d.to_owned(), r.to_owned()));
        let parsed = httpdate::parse_http_date(&date).expect("own date");
        let seconds = parsed.duration_since(UNIX_EPOCH).expect("after 1970");
        let mut expected = String::new();
        write_seconds(&mut expected, seconds.as_secs());
        assert_eq!(rfc3339[..SECONDS_LEN], expected);
    }
}

//! Tests of the event lines: fixed text, round trip, truncation, bit flips, every refusal.

use super::*;

const LINE: &str = "nitro-init uptime_ms=123 stage=nsm event=ok rng=nsm-hwrng debug=no";

fn event() -> Event {
    Event::new(123, Stage::Nsm, Kind::Ok)
        .with(Key::Rng, "nsm-hwrng")
        .with(Key::Debug, "no")
}

#[test]
fn line_is_fixed() {
    assert_eq!(event().to_string(), LINE);
    assert_eq!(Event::parse(LINE), Ok(event()));
    assert_eq!(Event::parse(&format!("{LINE}\r")), Ok(event()));
    assert_eq!(event().field(Key::Debug), Some("no"));
    assert_eq!(event().field(Key::Pid), None);
}

#[test]
fn every_name_is_read_back() {
    for stage in Stage::ALL {
        for kind in Kind::ALL {
            let mut event = Event::new(0, *stage, *kind);
            for key in Key::ALL {
                event = event.with(*key, key.name());
            }
            assert_eq!(Event::parse(&event.to_string()), Ok(event.clone()));
            assert_eq!(event.fields().count(), Key::ALL.len());
        }
    }
}

#[test]
fn the_longest_line_fits() {
    let mut event = Event::new(u64::MAX, Stage::Heartbeat, Kind::Stopping);
    for key in [
        Key::OffsetUs,
        Key::Service,
        Key::Status,
        Key::Target,
        Key::Version,
        Key::Module,
    ] {
        event = event.with(key, "x".repeat(200));
    }
    let line = event.to_string();
    assert!(line.len() <= MAX_LINE_BYTES, "{}", line.len());
    assert_eq!(Event::parse(&line), Ok(event));
}

#[test]
fn a_value_cannot_forge_a_line() {
    let event = event()
        .with(Key::Target, "a b\nnitro-init \"=é")
        .with(Key::Pid, "");
    assert_eq!(event.field(Key::Target), Some("a_b_nitro-init____"));
    assert_eq!(event.field(Key::Pid), Some("-"));
    assert_eq!(
        event.clone().with(Key::Pid, 1).with(Key::Pid, 2).field(Key::Pid),
        Some("2")
    );
    assert_eq!(event.to_string().lines().count(), 1);
}

#[test]
fn every_truncation_is_refused_or_is_a_shorter_event() {
    for len in 0..LINE.len() {
        if let Ok(shorter) = Event::parse(&LINE[..len]) {
            assert_eq!(shorter.to_string(), LINE[..len]);
        }
    }
}

#[test]
fn flipped_bits_never_read_as_the_same_event() {
    for at in 0..LINE.len() * 8 {
        let mut bytes = LINE.as_bytes().to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        if let Some(Ok(other)) = std::str::from_utf8(&bytes).ok().map(Event::parse) {
            assert_ne!(other, event(), "bit {at}");
        }
    }
}

#[test]
fn each_wrong_word_is_named() {
    let cases = [
        ("", EventError::Foreign),
        ("[    0.1] nitro-init uptime_ms=1", EventError::Foreign),
        ("nitro-init", EventError::Uptime),
        ("nitro-init uptime_ms=01 stage=nsm event=ok", EventError::Uptime),
        ("nitro-init uptime_ms=+1 stage=nsm event=ok", EventError::Uptime),
        (
            "nitro-init uptime_ms=99999999999999999999 stage=nsm event=ok",
            EventError::Uptime,
        ),
        ("nitro-init  uptime_ms=1 stage=nsm event=ok", EventError::Uptime),
        ("nitro-init uptime_ms=1 stage=NSM event=ok", EventError::Stage),
        ("nitro-init uptime_ms=1 stage=nsm", EventError::Kind),
        ("nitro-init uptime_ms=1 stage=nsm event=ok ", EventError::Key(0)),
        (
            "nitro-init uptime_ms=1 stage=nsm event=ok pid=1 x=1",
            EventError::Key(1),
        ),
        (
            "nitro-init uptime_ms=1 stage=nsm event=ok pid=1 pid=2",
            EventError::Repeated(1),
        ),
        (
            "nitro-init uptime_ms=1 stage=nsm event=ok pid=",
            EventError::Value(0),
        ),
        (
            "nitro-init uptime_ms=1 stage=nsm event=ok pid=a\tb",
            EventError::Value(0),
        ),
    ];
    for (line, error) in cases {
        assert_eq!(Event::parse(line), Err(error), "{line:?}");
    }
    let long = format!("{LINE} target={}", "x".repeat(129));
    assert_eq!(Event::parse(&long), Err(EventError::Value(2)));
    let longer = format!("{LINE} target={}", "x".repeat(MAX_LINE_BYTES));
    assert_eq!(Event::parse(&longer), Err(EventError::TooLong(longer.len())));
}

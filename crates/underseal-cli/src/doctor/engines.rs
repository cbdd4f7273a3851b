//! Which engine seals and opens the records of a connection over TCP, and why.

use underseal::record::{Algorithm, ProtocolVersion};
use underseal::{Engine, OFFLOAD_VARIABLE, Offload, Offloads, Refusal};
use underseal_sys::tls::Direction;

use super::report::{Choice, Choices, Entry, Section};

/// Key, name, and what is asked.
const ASKED: [(&str, &str, ProtocolVersion, Direction); 4] = [
    (
        "tls12_tx",
        "TLS 1.2 send",
        ProtocolVersion::Tls12,
        Direction::Tx,
    ),
    (
        "tls12_rx",
        "TLS 1.2 receive",
        ProtocolVersion::Tls12,
        Direction::Rx,
    ),
    (
        "tls13_tx",
        "TLS 1.3 send",
        ProtocolVersion::Tls13,
        Direction::Tx,
    ),
    (
        "tls13_rx",
        "TLS 1.3 receive",
        ProtocolVersion::Tls13,
        Direction::Rx,
    ),
];

/// How the library chooses.
pub(super) type Choose<'a> =
    &'a dyn Fn(Offload, Direction, ProtocolVersion, Algorithm) -> Result<Engine, Refusal>;

/// Asks the library what it does by itself, or where a program asks for the environment's engine.
pub(super) fn probe() -> Section {
    let asked = std::env::var(OFFLOAD_VARIABLE).ok();
    section(asked.as_deref(), &Offload::engine)
}

pub(super) fn section(asked: Option<&str>, choose: Choose<'_>) -> Section {
    let entries = ASKED.map(|(key, title, version, direction)| {
        let rows = Algorithm::ALL.map(|algorithm| {
            let (offload, remark) = wanted(asked, direction);
            let engine = choose(offload, direction, version, algorithm);
            let (chosen, because) = explained(offload, direction, engine);
            Choice {
                key: algorithm.to_string(),
                subject: algorithm.to_string(),
                chosen: chosen.to_owned(),
                because: format!("{because}{remark}"),
            }
        });
        Entry::Choices(Choices {
            key,
            title,
            rows: rows.into(),
        })
    });
    Section {
        key: "engines",
        title: "Engines (of connections over TCP)",
        entries: entries.into(),
    }
}

/// What the environment wants for a direction, and a remark if it makes no sense.
fn wanted(asked: Option<&str>, direction: Direction) -> (Offload, String) {
    let (offloads, remark) = match asked.map(str::parse::<Offloads>) {
        Some(Ok(offloads)) => (offloads, String::new()),
        Some(Err(error)) => {
            let remark = format!("; {OFFLOAD_VARIABLE} is ignored: {error}");
            (Offloads::default(), remark)
        }
        None => (Offloads::default(), String::new()),
    };
    match direction {
        Direction::Tx => (offloads.tx, remark),
        Direction::Rx => (offloads.rx, remark),
    }
}

fn explained(
    offload: Offload,
    direction: Direction,
    engine: Result<Engine, Refusal>,
) -> (&'static str, String) {
    let measured = match direction {
        Direction::Tx => "for large files, which it sends without copies",
        Direction::Rx => "measured to be the cheaper one for receiving",
    };
    match (offload, engine) {
        (Offload::Auto, Ok(engine)) => (engine.name(), measured.to_owned()),
        (_, Ok(engine)) => (engine.name(), format!("{OFFLOAD_VARIABLE} says so")),
        (Offload::Kernel, Err(refusal)) => (
            "none",
            format!("{OFFLOAD_VARIABLE} wants the kernel's: {refusal}"),
        ),
        (_, Err(refusal)) => ("user", refusal.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_KERNEL_TLS: Result<Engine, Refusal> = Err(Refusal::Ulp(underseal::Errno::NOENT));

    /// The library's own choice but for the kernel, which is made up.
    fn choose(
        offload: Offload,
        direction: Direction,
        _: ProtocolVersion,
        _: Algorithm,
    ) -> Result<Engine, Refusal> {
        match (offload, direction) {
            (Offload::User, _) | (Offload::Auto, Direction::Rx) => Ok(Engine::User),
            _ => NO_KERNEL_TLS,
        }
    }

    fn rows(asked: Option<&str>) -> Vec<Choice> {
        let entries = section(asked, &choose).entries.into_iter();
        let rows = entries.flat_map(|entry| match entry {
            Entry::Choices(choices) => choices.rows,
            Entry::Finding(_) | Entry::Grid(_) | Entry::Speeds(_) => Vec::new(),
        });
        rows.collect()
    }

    #[test]
    fn a_kernel_that_refuses_is_the_reason() {
        let rows = rows(None);
        assert_eq!(rows.len(), 4 * 3);
        assert_eq!(rows[0].chosen, "user");
        assert_eq!(rows[0].because, "no kernel TLS on this socket (ENOENT)");
        assert_eq!(
            rows[3].because,
            "measured to be the cheaper one for receiving"
        );
    }

    #[test]
    fn the_environment_is_the_reason_by_direction() {
        let rows = rows(Some("tx=kernel,rx=user"));
        assert_eq!(rows[0].chosen, "none");
        let because = &rows[0].because;
        assert!(
            because.starts_with("UNDERSEAL_OFFLOAD wants the kernel's: "),
            "{because}"
        );
        assert_eq!(
            (rows[3].chosen.as_str(), rows[3].because.as_str()),
            ("user", "UNDERSEAL_OFFLOAD says so")
        );
    }

    #[test]
    fn nonsense_in_the_environment_is_named() {
        let rows = rows(Some("never"));
        assert_eq!(rows[0].chosen, "user");
        let because = &rows[0].because;
        assert!(
            because.contains("; UNDERSEAL_OFFLOAD is ignored: "),
            "{because}"
        );
    }

    #[test]
    fn an_engine_that_is_had_says_why() {
        let kernel = explained(Offload::Auto, Direction::Tx, Ok(Engine::Kernel));
        assert_eq!(
            kernel,
            (
                "kernel",
                "for large files, which it sends without copies".to_owned()
            )
        );
    }
}

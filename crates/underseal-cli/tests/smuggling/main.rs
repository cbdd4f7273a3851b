//! The smuggling corpus of `underseal-http` through `underseal proxy`: what is refused never
//! reaches the backend, nor does anything behind it, and what is read reaches it as it was read.

#[path = "../../../underseal-http/tests/smuggling/programs/backend.rs"]
mod backend;
#[path = "../../../underseal-http/tests/smuggling/corpus.rs"]
mod corpus;
#[path = "../../../underseal-http/tests/smuggling/programs/exchange.rs"]
mod exchange;
#[path = "../../../underseal-http/tests/smuggling/programs/proxy.rs"]
mod proxy;

use std::process::Command;

use corpus::{CLASSES, Case, Reading};
use exchange::{Exchange, Seen, exchange};
use proxy::Proxy;
use underseal_http::Refusal;

/// The proxy without TLS on either side; its configuration is its command line.
fn start() -> Proxy {
    Proxy::start(
        "underseal proxy",
        |_, address, backend| format!("plain:{address} {backend}"),
        |_, file| {
            let arguments = std::fs::read_to_string(file).expect("it was written just now");
            let (listen, to) = arguments.split_once(' ').expect("two addresses");
            let mut command = Command::new(env!("CARGO_BIN_EXE_underseal"));
            command.args(["proxy", "--workers", "1", "--access-log", "off"]);
            // Paths are read by those who ask for them.
            let policy = file.with_extension("yaml");
            std::fs::write(&policy, POLICY).expect("write a policy");
            command.arg("--policy").arg(policy);
            command.args(["--path-parameters", "reject", "--encoded-slash", "reject"]);
            command.args(["--listen", listen, "--to", to]);
            command
        },
    )
}

/// Allows every path, whatever it is.
const POLICY: &str = "
apiVersion: underseal/v1alpha1
kind: AuthorizationPolicy
metadata: { name: any }
spec: { rules: [{ to: [{ operation: { paths: ['*'] } }] }] }
";

/// What is wrong with what became of a case; nothing if all is as it should be.
fn fault(case: &Case, exchange: &Exchange) -> Option<String> {
    let expected = match case.reading {
        // The target of CONNECT is not for a reverse proxy to open.
        Ok(reading) if reading.method == "CONNECT" => refused(exchange, &["405"]),
        Ok(reading) => forwarded(case, reading, exchange),
        // It speaks HTTP/2 then, and is sent what is none.
        Err(_) if case.sent.starts_with(b"PRI ") => exchange.seen.is_empty(),
        // The head was forwarded before the body turned out to be none.
        Err(Refusal::Chunk) => refused(exchange, &["400", "502"]),
        // The proxy knows where the client connected to, which is what it asks for then.
        Err(Refusal::NoHost) if is_old(case) => exchange.seen.len() == 1 && !exchange.waits,
        Err(refusal) => refused(exchange, &[&refusal.status().to_string()]),
    };
    (!expected).then(|| format!("{}: {exchange:?}", case.name))
}

/// Whether nothing reached the backend, and one of these was the answer, and the last.
fn refused(exchange: &Exchange, statuses: &[&str]) -> bool {
    let answer = exchange.answers.first();
    let is_told = answer.is_some_and(|answer| statuses.contains(&&**answer));
    exchange.seen.is_empty() && is_told && exchange.answers.len() == 1 && !exchange.waits
}

fn forwarded(case: &Case, reading: Reading, exchange: &Exchange) -> bool {
    let expected = Seen {
        method: reading.method.to_owned(),
        path: exchange::decode(reading.path.as_bytes()),
        host: reading.host.to_owned(),
        content: reading.content,
    };
    // HTTP/1.0 closes after a request; every other case has the next one behind it.
    let mut all = vec![expected];
    all.extend((!is_old(case)).then(Seen::next));
    exchange.seen == all && !exchange.waits
}

/// Whether it is HTTP/1.0.
fn is_old(case: &Case) -> bool {
    case.sent.windows(8).any(|bytes| bytes == b"HTTP/1.0")
}

#[test]
fn what_is_refused_stays_out_and_what_is_read_arrives_so() {
    let proxy = start();
    let faults: Vec<_> = CLASSES
        .iter()
        .flat_map(|class| class.cases.iter().map(|case| (class.name, case)))
        .filter_map(|(class, case)| Some((class, fault(case, &exchange(&proxy, case.sent))?)))
        .collect();
    assert!(
        faults.is_empty(),
        "{} reads otherwise: {faults:#?}",
        proxy.name
    );
}

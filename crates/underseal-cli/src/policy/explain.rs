//! `underseal policy explain`: what is decided about one request, and why, rule by rule.

mod json;
mod text;

use underseal_http::{ReadOptions, Refusal, Request, Scratch, http1};
use underseal_policy::model::{AuthorizationPolicy, Direction};
use underseal_policy::{Connection, Explanation, Fact, Labels, Matcher, Peer, applies};

use super::arguments::{ExplainArgs, Way};
use super::{Files, check, print};
use crate::exit::{Exit, Failure};

/// What is to be shown.
struct Account<'a> {
    /// The request as rules see it; `None` if there is none.
    request: Option<Request<'a>>,
    connection: Connection<'a>,
    outcome: Outcome<'a>,
    /// Policies that are not for this workload or direction.
    others: Vec<&'a str>,
}

enum Outcome<'a> {
    /// No rule was asked.
    Refused(Refusal),
    Decided(Explanation<'a>),
}

/// Decides about the request of the command line and prints why. Whatever is decided, that is a
/// success.
///
/// # Errors
/// [`Exit::Policy`] when a file does not load, with the first of its errors.
pub(super) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let files = Files::read(&args.files.files)?;
    let policies = check::loaded(&files, &args.files.tcp_port).map_err(|errors| {
        // What does not load decides nothing, and there is nothing to explain.
        let first = errors.first().map_or_else(String::new, check::text);
        Failure::new(
            Exit::Policy,
            first.trim_end(),
            "`underseal policy check` prints every error",
        )
    })?;
    let labels: Labels = args.labels.iter().cloned().collect();
    let direction = match args.direction {
        Way::Ingress => Direction::Ingress,
        Way::Egress => Direction::Egress,
    };
    let matcher = Matcher::new(&policies, &labels, direction).map_err(|faults| {
        let fault = faults.first().map_or_else(String::new, ToString::to_string);
        Failure::new(
            Exit::Policy,
            fault,
            "`underseal policy check` prints every error",
        )
    })?;
    let head = head(args);
    let mut scratch = Scratch::default();
    let read = head
        .as_deref()
        .map(|head| http1::read(head, &ReadOptions::default(), &mut scratch));
    let connection = connection(args);
    let (request, outcome) = match read {
        Some(Err(refusal)) => (None, Outcome::Refused(refusal)),
        // The command line's head ends with an empty line, so that it is whole or refused.
        Some(Ok(None)) => (None, Outcome::Refused(Refusal::RequestLine)),
        Some(Ok(Some(head))) => {
            let request = head.request();
            let explanation = matcher.explain(&connection, Some(&request));
            (Some(request), Outcome::Decided(explanation))
        }
        None => (None, Outcome::Decided(matcher.explain(&connection, None))),
    };
    let account = Account {
        request,
        connection,
        outcome,
        others: others(&policies, &labels, direction),
    };
    print(&if args.json {
        json::render(&account)
    } else {
        text::render(&account)
    })
}

/// The head as a client would send it.
fn head(args: &ExplainArgs) -> Option<Vec<u8>> {
    let line = args.request.as_ref()?;
    let version = if line.split(' ').count() == 2 {
        " HTTP/1.1"
    } else {
        ""
    };
    let mut head = format!("{line}{version}\r\n");
    if let Some(host) = &args.host {
        head += &format!("Host: {host}\r\n");
    }
    for header in &args.header {
        head += &format!("{header}\r\n");
    }
    head += "\r\n";
    Some(head.into_bytes())
}

fn connection(args: &ExplainArgs) -> Connection<'_> {
    Connection {
        source: Peer {
            principal: given(args.from.as_deref()),
            ip: args.from_ip,
        },
        destination: Peer {
            principal: given(args.to.as_deref()),
            ip: args.to_ip,
        },
        port: args.port,
        sni: given(args.sni.as_deref()),
    }
}

/// What an option says: nothing is not known, and `none` is known not to be there.
fn given(option: Option<&str>) -> Fact<'_> {
    match option {
        None => Fact::Unknown,
        Some("none") => Fact::Absent,
        Some(text) => Fact::Is(text),
    }
}

fn others<'p>(
    policies: &'p [AuthorizationPolicy],
    labels: &Labels,
    direction: Direction,
) -> Vec<&'p str> {
    policies
        .iter()
        .filter(|policy| !applies(policy, labels, direction))
        .map(|policy| policy.metadata.name.as_str())
        .collect()
}

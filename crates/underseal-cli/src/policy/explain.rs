//! `underseal policy explain`: what is decided about one request, and why, rule by rule.

mod json;
mod text;

use underseal_http::fields::is_ours;
use underseal_http::{
    EncodedSlash, Outgoing, Passage, ReadOptions, Refusal, Request, Scratch, Upgrade, Version,
    http1,
};
use underseal_policy::model::{AuthorizationPolicy, TrafficDirection};
use underseal_policy::{
    Claims, Connection, Explanation, Fact, Keeps, Labels, Matcher, Peer, Token, Transport, applies,
};

use super::arguments::{Carrier, ExplainArgs};
use super::{Files, check, print};
use crate::exit::{Exit, Failure};
use crate::proxy::Protocol;

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
    check_protocol(args)?;
    let files = Files::read(&args.files.files)?;
    let labels: Labels = args.labels.iter().cloned().collect();
    let is_for = |policy: &AuthorizationPolicy| applies(policy, &labels, args.direction);
    let policies = check::loaded(&files, &args.files, is_for).map_err(|errors| {
        // What does not load decides nothing, and there is nothing to explain.
        let first = errors.first().map_or_else(String::new, check::text);
        Failure::new(
            Exit::Policy,
            first.trim_end(),
            "`underseal policy check` prints every error",
        )
    })?;
    let matcher = Matcher::new(&policies, &labels, args.direction).map_err(|faults| {
        let fault = faults.first().map_or_else(String::new, ToString::to_string);
        Failure::new(
            Exit::Policy,
            fault,
            "`underseal policy check` prints every error",
        )
    })?;
    let head = head(args);
    let mut scratch = Scratch::default();
    let mut outgoing = Outgoing::default();
    let mut options = ReadOptions::default();
    options.path.parameter = true;
    options.path.encoded_slash = args.encoded_slash.unwrap_or(EncodedSlash::Keep);
    let read = head
        .as_deref()
        .map(|head| http1::read(head, &options, &mut scratch));
    let given = Given::read(args)?;
    let connection = connection(args, &given);
    let (request, outcome) = match read {
        Some(Err(refusal)) => (None, Outcome::Refused(refusal)),
        // The command line's head ends with an empty line, so that it is whole or refused.
        Some(Ok(None)) => (None, Outcome::Refused(Refusal::RequestLine)),
        Some(Ok(Some(head))) => {
            let request = goes_on(&head, &mut outgoing);
            let keeps = Keeps {
                parameters: args.keep_path_parameters,
                encoded_slashes: args.encoded_slash == Some(EncodedSlash::Keep),
            };
            let outcome = match matcher.asked().refuses(&request, keeps) {
                Some(refusal) => Outcome::Refused(refusal),
                None => Outcome::Decided(matcher.explain(&connection, Some(&request))),
            };
            (Some(request), outcome)
        }
        None => (None, Outcome::Decided(matcher.explain(&connection, None))),
    };
    let account = Account {
        request,
        connection,
        outcome,
        others: others(&policies, &labels, args.direction),
    };
    print(&if args.json {
        json::render(&account)
    } else {
        text::render(&account)
    })
}

/// # Errors
/// If there is a request where no HTTP is spoken.
fn check_protocol(args: &ExplainArgs) -> Result<(), Failure> {
    match (&args.request, args.files.protocol) {
        (Some(_), Protocol::Tcp | Protocol::Dtls) => Err(Failure::new(
            Exit::Usage,
            "`--request` is read by nobody where no HTTP is spoken",
            "leave out `--request`, or `--protocol`",
        )),
        (None, _) | (_, Protocol::Http) => Ok(()),
    }
}

/// What a proxy would send of a head, which is what it judges. What only a proxy may say is given as it
/// would say it.
fn goes_on<'a>(head: &http1::Head<'a>, outgoing: &'a mut Outgoing) -> Request<'a> {
    let request = head.request();
    if request.path().is_none() {
        return request;
    }
    let ours = request.fields().filter(|(name, _)| is_ours(name));
    let ours: Vec<(&str, Box<str>)> = ours
        .map(|(name, value)| {
            // A name is ASCII.
            let name = str::from_utf8(name).unwrap_or_default();
            (name, String::from_utf8_lossy(value).into())
        })
        .collect();
    let passage = Passage {
        upgrade: match request.header(b"upgrade").next() {
            Some(_) => Upgrade::AsAsked,
            None => Upgrade::None,
        },
        ours: &ours,
        ..Passage::new(Version::Http11, head.framing())
    };
    outgoing.write(&request, &passage);
    outgoing.request()
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

/// What the command line says of labels and claims; what is not given is not known.
struct Given {
    source: Option<Labels>,
    destination: Option<Labels>,
    claims: Option<Option<Claims>>,
}

impl Given {
    fn read(args: &ExplainArgs) -> Result<Self, Failure> {
        let labels = |given: &[(String, String)]| {
            let labels: Labels = given.iter().cloned().collect();
            (!labels.is_empty()).then_some(labels)
        };
        let claims = match args.claims.as_deref() {
            None => None,
            Some("none") => Some(None),
            Some(text) => {
                let payload = serde_json::from_str(text).map_err(|error| {
                    let message = format!("`--claims` is no JSON object: {error}");
                    Failure::new(
                        Exit::Usage,
                        message,
                        "give `{\"iss\":…,\"sub\":…}` or `none`",
                    )
                })?;
                Some(Some(Claims::new(payload, &[])))
            }
        };
        Ok(Self {
            source: labels(&args.from_labels),
            destination: labels(&args.to_labels),
            claims,
        })
    }

    fn token(&self) -> Token<'_> {
        match &self.claims {
            None => Token::Unknown,
            Some(None) => Token::Absent,
            Some(Some(claims)) => Token::Is(claims),
        }
    }
}

fn connection<'a>(args: &'a ExplainArgs, peers: &'a Given) -> Connection<'a> {
    Connection {
        source: Peer {
            principal: given(args.from.as_deref()),
            ip: args.from_ip,
            labels: peers.source.as_ref(),
        },
        destination: Peer {
            principal: given(args.to.as_deref()),
            ip: args.to_ip,
            labels: peers.destination.as_ref(),
        },
        port: args.port,
        transport: match (args.transport, args.files.protocol) {
            (Some(Carrier::Udp), _) | (None, Protocol::Dtls) => Transport::Udp,
            (Some(Carrier::Tcp), _) | (None, Protocol::Http | Protocol::Tcp) => Transport::Tcp,
        },
        sni: given(args.sni.as_deref()),
        remote_ip: args.remote_ip.or(args.from_ip),
        token: peers.token(),
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
    direction: TrafficDirection,
) -> Vec<&'p str> {
    policies
        .iter()
        .filter(|policy| !applies(policy, labels, direction))
        .map(|policy| policy.metadata.name.as_str())
        .collect()
}

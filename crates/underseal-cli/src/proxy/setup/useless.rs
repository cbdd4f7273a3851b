//! Options that could have no effect beside the others. Whoever gives one expects something of it, as
//! that clients have to show a certificate, and is not left to believe it.

use underseal::Offloads;
use underseal_http::Version;
use underseal_policy::model::TrafficDirection;
use underseal_proxy::Forwarded;

use super::super::arguments::{Protocol, ProxyArgs};
use crate::exit::{Exit, Failure};

/// # Errors
/// If there is one.
pub(super) fn check(args: &ProxyArgs) -> Result<(), Failure> {
    of_clients(args)?;
    of_backends(args)?;
    of_certificates(args)?;
    of_tls(args)?;
    of_http(args)?;
    of_trust(args)
}

fn of_clients(args: &ProxyArgs) -> Result<(), Failure> {
    let given = [(args.client_ca.is_some(), "--client-ca")];
    let why = "clients of a plain listener show no certificate";
    refuse(!args.listen.tls, &given, why, "with a TLS listener")
}

fn of_backends(args: &ProxyArgs) -> Result<(), Failure> {
    let given = [
        (args.to_ca.is_some(), "--to-ca"),
        (args.to_name.is_some(), "--to-name"),
        (
            args.to_cert.is_some() && !names_ourselves(args),
            "--to-cert",
        ),
    ];
    let why = "no backend is spoken to in TLS";
    refuse(!args.originates(), &given, why, "with `--to tls:HOST:PORT`")
}

fn of_certificates(args: &ProxyArgs) -> Result<(), Failure> {
    let is_for_backends = args.originates() || names_ourselves(args);
    let is_shown = args.listen.tls || (is_for_backends && args.to_cert.is_none());
    let why = "nobody is shown the certificate";
    let with = "with a TLS listener, or with `--to tls:HOST:PORT` and without `--to-cert`";
    refuse(!is_shown, &[(!args.cert.is_empty(), "--cert")], why, with)?;
    let several = [(args.cert.len() > 1, "--cert")];
    let why = "backends are shown one certificate, whatever their names";
    refuse(!args.listen.tls, &several, why, "once, or a TLS listener")
}

/// Whether policies take the certificate for backends for whom the workload is.
fn names_ourselves(args: &ProxyArgs) -> bool {
    args.judged_direction() == TrafficDirection::Egress && !args.listen.tls
}

fn of_tls(args: &ProxyArgs) -> Result<(), Failure> {
    let given = [
        (args.min_tls.is_some(), "--min-tls"),
        (!args.alpn.is_empty(), "--alpn"),
        (args.offload != Offloads::default(), "--offload"),
    ];
    let why = "there is TLS on neither side";
    let with = "with a TLS listener or `--to tls:HOST:PORT`";
    refuse(!args.listen.tls && !args.originates(), &given, why, with)
}

fn of_http(args: &ProxyArgs) -> Result<(), Failure> {
    let given = [
        (args.to_protocol == Version::Http2, "--to-protocol h2"),
        (args.host.is_some(), "--host"),
        (args.path_parameters.is_some(), "--path-parameters"),
        (args.encoded_slash.is_some(), "--encoded-slash"),
        (args.forwarded != Forwarded::Set, "--forwarded"),
        (!args.trusted_proxies.is_empty(), "--trusted-proxies"),
        (args.half_close, "--half-close"),
    ];
    let is_http = args.protocol == Protocol::Http;
    let why = "no HTTP is spoken";
    refuse(!is_http, &given, why, "with `--protocol http`")
}

/// Of a client that is not trusted nothing is believed, and so nothing is there to append to.
fn of_trust(args: &ProxyArgs) -> Result<(), Failure> {
    let appends = args.forwarded == Forwarded::Append;
    let why = "no proxy in front is trusted to have said anything";
    let given = [(appends, "--forwarded append")];
    let is_trusting = !args.trusted_proxies.is_empty();
    refuse(!is_trusting, &given, why, "with `--trusted-proxies CIDR`")
}

/// Refuses the first option that is given.
fn refuse(
    is_useless: bool,
    options: &[(bool, &str)],
    why: &str,
    with: &str,
) -> Result<(), Failure> {
    match options.iter().find(|(is_given, _)| is_useless && *is_given) {
        None => Ok(()),
        Some((_, option)) => {
            let hint = format!("give `{option}` {with}");
            Err(Failure::new(Exit::Usage, why, hint))
        }
    }
}

//! The command line of `underseal policy`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use underseal_http::EncodedSlash;
use underseal_policy::model::TrafficDirection;
use underseal_policy::{NamedPort, TcpPorts, is_spiffe_id};

use crate::cli::{encoded_slash, label, traffic_direction};
use crate::proxy::Protocol;

const NOTES: &str = "\
Exit codes:
  0  done; for `explain`, whatever was decided
  1  stdout cannot be written
  2  wrong command line
  6  a file cannot be read, or is no policy";

const CHECK_NOTES: &str = "\
Every error of every file is printed, as FILE:LINE:COLUMN: KEY: what is wrong. With --json, each is
one object per line: file, line, column, path, message. Documents of other kinds are passed over,
with a note each on stderr; policies of Istio and Cilium are errors, and to be converted. A file has
up to 1024 documents, and up to 250000 texts, lists and mappings.

With --protocol tcp or dtls all policies are taken for those of the workload, and rules to be asked
about the ports of --tcp-port and no others; without that, about any port.

Example:
  underseal policy check policies/*.yaml
  underseal policy check - --tcp-port 5432 < policy.yaml
  underseal policy check policies/ --protocol tcp --tcp-port 5432

Exit codes: 0 all files load; 6 some do not, or cannot be read.";

const EXPLAIN_NOTES: &str = "\
The rules are shown in the order in which they are asked: DENY, ALLOW, AUDIT. Each names the key
that was looked at last, its values, and what the request has. What is not given is not known, and
is decided against the request; `none` says that --from, --to or --sni is known not to be there.
What is judged is what `underseal proxy` would send on: cookies in one line, no fields of the
connection. X-Forwarded-… and X-Underseal-… are taken for what the proxy itself says there.
Without --request it is a connection that does not speak HTTP.

Example:
  underseal policy explain policies/*.yaml --labels app=orders --from spiffe://corp/ns/shop/sa/web \\
    --request 'GET /v1/orders/7' --host orders --header 'x-env: prod' --port 8080

Exit codes: 0 explained, whatever was decided; 6 a file does not load, or cannot be read.";

const CONVERT_NOTES: &str = "\
Takes Istio's AuthorizationPolicy and Cilium's CiliumNetworkPolicy with its HTTP rules. What comes
out allows nothing that the original denies: what cannot be kept is refused by name, with its line
and column on stderr, and nothing is printed; what is narrower is a note on stderr. Documents of
other kinds are passed over, with a note each; what denies by itself, as NetworkPolicy, is refused.

A policy of a namespace is for workloads with the label io.kubernetes.pod.namespace. Of the labels
of a peer, a SPIFFE ID tells the namespace and the service account. Regular expressions become
patterns where they are literal, have `.*` at one end, `[^/]+` for a segment, or alternatives.

--report prints for each document exact, narrowed, refused or passed over, and why; as JSON one
object per line: file, line, column, kind, name, outcome, reasons.

Example:
  underseal policy convert cilium.yaml --trust-domain cluster.local > policy.yaml
  underseal policy convert manifests/ --namespace shop --report text

Exit codes: 0 converted; 6 something cannot be converted, or a file cannot be read.";

/// An address and a file. An address may have a `=` in its query, a file has none.
fn jwks(text: &str) -> Result<(String, String), String> {
    let parts = text.rsplit_once('=');
    let (address, file) = parts.ok_or("expected URL=FILE")?;
    Ok((address.to_owned(), file.to_owned()))
}

/// A name of a port, whose case does not matter, and the port with its protocol.
fn named_port(text: &str) -> Result<(String, NamedPort), String> {
    const EXPECTED: &str = "expected NAME=PORT/PROTOCOL, such as http=8080/tcp";
    let (name, port) = text.split_once('=').ok_or(EXPECTED)?;
    // None is guessed: what the name is not would be open, or what it is not be denied.
    let (port, protocol) = port.split_once('/').ok_or(EXPECTED)?;
    let port = port.parse().ok().filter(|port| *port != 0);
    let port = port.ok_or("expected a port from 1 to 65535")?;
    let port = match &*protocol.to_ascii_lowercase() {
        "tcp" => NamedPort::Tcp(port),
        "udp" => NamedPort::Udp(port),
        _ => return Err("expected `tcp` or `udp` behind the port".to_owned()),
    };
    Ok((name.to_ascii_lowercase(), port))
}

/// A SPIFFE ID, or `none`. A proxy refuses whoever shows another.
fn spiffe_id(text: &str) -> Result<String, String> {
    match text == "none" || is_spiffe_id(text) {
        true => Ok(text.to_owned()),
        false => Err("expected a SPIFFE ID, or `none`".to_owned()),
    }
}

/// Options of `underseal policy`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(super) command: Subcommand,
}

/// What to do with policies.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Subcommand {
    /// Say whether policy files load, and every reason why not
    Check(CheckArgs),
    /// Say what is decided about a request, and why, rule by rule
    Explain(ExplainArgs),
    /// Print the policies of Istio or Cilium in underseal's words
    Convert(ConvertArgs),
    /// Print the JSON Schema of a policy
    Schema,
}

/// Options of `underseal policy check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_NOTES)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) files: Files,

    /// One JSON object per error and line
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `underseal policy explain`.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_NOTES)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    pub(super) files: Files,

    /// Request line; HTTP/1.1 if it says no version
    #[arg(long, value_name = "LINE")]
    pub(super) request: Option<String>,

    /// Host field of the request
    #[arg(long, value_name = "HOST", requires = "request")]
    pub(super) host: Option<String>,

    /// Field of the request, `name: value`; may be given several times
    #[arg(long, value_name = "FIELD", requires = "request")]
    pub(super) header: Vec<String>,

    /// As `underseal proxy --path-parameters keep`: `;` in the path is not refused
    #[arg(long, requires = "request")]
    pub(super) keep_path_parameters: bool,

    /// As `underseal proxy --encoded-slash`: what becomes of `%2F` in the path
    #[arg(long, value_parser = encoded_slash(), value_name = "WHAT", requires = "request")]
    pub(super) encoded_slash: Option<EncodedSlash>,

    /// Port that the connection is to
    #[arg(long, value_name = "PORT", default_value = "443")]
    pub(super) port: u16,

    /// What carries the connection [default: udp with `--protocol dtls`, else tcp]
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "request")]
    pub(super) transport: Option<Carrier>,

    /// SPIFFE ID of whoever opened the connection
    #[arg(long, value_name = "ID", value_parser = spiffe_id)]
    pub(super) from: Option<String>,

    /// Its address
    #[arg(long, value_name = "IP")]
    pub(super) from_ip: Option<IpAddr>,

    /// Address of whoever sent the request, behind trusted proxies [default: that of --from-ip]
    #[arg(long, value_name = "IP")]
    pub(super) remote_ip: Option<IpAddr>,

    /// SPIFFE ID of whoever accepted the connection
    #[arg(long, value_name = "ID", value_parser = spiffe_id)]
    pub(super) to: Option<String>,

    /// Its address
    #[arg(long, value_name = "IP")]
    pub(super) to_ip: Option<IpAddr>,

    /// Labels of whoever opened the connection, `name=value`
    #[arg(long, value_name = "LABELS", value_delimiter = ',', value_parser = label)]
    pub(super) from_labels: Vec<(String, String)>,

    /// Labels of whoever accepted it
    #[arg(long, value_name = "LABELS", value_delimiter = ',', value_parser = label)]
    pub(super) to_labels: Vec<(String, String)>,

    /// Claims of the token of the request, as a JSON object, which are believed; `none` says that it
    /// has no token
    #[arg(long, value_name = "JSON", requires = "request")]
    pub(super) claims: Option<String>,

    /// Server name of the ClientHello
    #[arg(long, value_name = "NAME")]
    pub(super) sni: Option<String>,

    /// Labels of the workload that judges, `name=value`
    #[arg(long, value_name = "LABELS", value_delimiter = ',', value_parser = label)]
    pub(super) labels: Vec<(String, String)>,

    /// Whether the workload receives the request or sends it
    #[arg(long, value_parser = traffic_direction(), value_name = "WAY", default_value = "ingress")]
    pub(super) direction: TrafficDirection,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// What carries a connection, as a command line says it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Carrier {
    Tcp,
    Udp,
}

/// Options of `underseal policy convert`.
#[derive(Debug, Args)]
#[command(after_help = CONVERT_NOTES)]
pub(super) struct ConvertArgs {
    /// Files with policies of Istio or Cilium, or directories of files; `-` is stdin
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,

    /// Namespace of policies that name none
    #[arg(long, value_name = "NAME")]
    pub(super) namespace: Option<String>,

    /// Trust domain of the mesh or cluster, which policies of Istio call `cluster.local`
    #[arg(long, value_name = "DOMAIN")]
    pub(super) trust_domain: Option<String>,

    /// Other name of the trust domain; may be given several times
    #[arg(long, value_name = "DOMAIN", requires = "trust_domain")]
    pub(super) trust_domain_alias: Vec<String>,

    /// Namespace of Istio's policies for the whole mesh
    #[arg(long, value_name = "NAME", default_value = "istio-system")]
    pub(super) root_namespace: String,

    /// Addresses of pods and nodes, `10.0.0.0/8`; all blocks of the cluster have to be given
    #[arg(long, value_name = "BLOCK")]
    pub(super) cluster_block: Vec<String>,

    /// Addresses of the workload's node
    #[arg(long, value_name = "BLOCK")]
    pub(super) host_block: Vec<String>,

    /// Port that a policy of Cilium calls by name, `http=8080/tcp`, `dns=53/udp`; may be given several times
    #[arg(long, value_name = "NAME=PORT/PROTOCOL", value_parser = named_port)]
    pub(super) named_port: Vec<(String, NamedPort)>,

    /// No proxy stands in front: Istio's remote addresses are those of whoever connects
    #[arg(long)]
    pub(super) no_trusted_proxies: bool,

    /// Istio trusts the proxies that `underseal proxy --trusted-proxies` does, and no client comes past
    /// them or has an address among theirs: Istio's remote addresses are those that they tell
    #[arg(long, conflicts_with = "no_trusted_proxies")]
    pub(super) trusted_proxies: bool,

    /// File with the keys that Istio fetches from an address, `URL=FILE`; may be given several times
    #[arg(long, value_name = "URL=FILE", value_parser = jwks)]
    pub(super) jwks: Vec<(String, String)>,

    /// Print what became of each document, and no policy
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) report: Option<Format>,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// Policy files and what must be known to read them.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Policy files, YAML, several policies in one if separated by `---`, or directories of files;
    /// `-` is stdin
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,

    /// Port on which something else than HTTP is spoken; may be given several times
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) tcp_port: Vec<u16>,

    /// As `underseal proxy --protocol`: with tcp and dtls no policy loads that asks for HTTP
    #[arg(long, value_enum, value_name = "PROTOCOL", default_value = "http")]
    pub(super) protocol: Protocol,
}

impl Files {
    /// The ports that rules are asked about, where no HTTP is spoken at all.
    pub(super) fn without_http(&self) -> Option<TcpPorts> {
        match (self.protocol, &*self.tcp_port) {
            (Protocol::Http, _) => None,
            (Protocol::Tcp | Protocol::Dtls, []) => Some(TcpPorts::Any),
            (Protocol::Tcp | Protocol::Dtls, ports) => Some(TcpPorts::Only(ports.to_vec())),
        }
    }
}

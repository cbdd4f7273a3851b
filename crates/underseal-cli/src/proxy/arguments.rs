//! The command line of `underseal proxy`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use underseal::Offloads;
use underseal_http::{EncodedSlash, Version};
use underseal_policy::model::TrafficDirection;
use underseal_proxy::{Block, ClientAuth, Forwarded, MinTls, PathParameters};

use super::endpoint::{Destination, Host, Listen};
use crate::cli::{encoded_slash, label, one_of, seconds, traffic_direction};

const NOTES: &str = "\
Examples:
  underseal proxy --listen 0.0.0.0:8443 --to 127.0.0.1:8080 --cert chain.pem --key key.pem
      TLS in front of a plain service; without --cert, with a development certificate
  underseal proxy --listen 0.0.0.0:8443 --to 127.0.0.1:8080 --cert chain.pem --key key.pem \\
      --client-ca clients.pem --policy policies/
      the same for clients with certificates, and a policy on each request
  underseal proxy --listen plain:127.0.0.1:8080 --to tls:api.example.com:443
      TLS towards a service, for a plain client
  underseal proxy --protocol dtls --listen 0.0.0.0:5684 --to 127.0.0.1:5683
      DTLS in front of a UDP service (CoAP)

Changed certificates and policies are loaded without dropping a connection, SIGHUP does it at once
and opens the log file again; what does not load leaves the old in force. SIGTERM lets running
requests finish, a second one does not.

Exit codes: 0 ended by a signal; 1 failed; 2 wrong command line; 3 certificate or key; 4 the address
to listen on; 6 a policy file. `underseal --help` lists the environment variables.";

/// Options of `underseal proxy`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct ProxyArgs {
    /// Where clients connect: `ADDR:PORT` for TLS, `plain:ADDR:PORT` for none
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Listen,

    /// Backend: `HOST:PORT` without TLS, `tls:HOST:PORT` with it, `unix:/PATH`; several are used in turn
    #[arg(long, value_name = "ADDR", required = true)]
    pub(crate) to: Vec<Destination>,

    /// Answer plain HTTP here, with where the same is over TLS
    #[arg(long, value_name = "ADDR")]
    pub(crate) redirect_http: Option<String>,

    /// What is spoken: with tcp, bytes pass and policies judge the connection; with dtls, datagrams do
    #[arg(long, value_enum, value_name = "PROTOCOL", default_value = "http")]
    pub(crate) protocol: Protocol,

    /// What the backend speaks: HTTP/1.1, or HTTP/2 without upgrade (gRPC)
    #[arg(long, value_parser = one_of([("http1", Version::Http11), ("h2", Version::Http2)]),
        value_name = "VERSION", default_value = "http1")]
    pub(crate) to_protocol: Version,

    /// Ask each backend for this path every 5 seconds; one that does not answer 2xx or 3xx is passed over
    #[arg(long, value_name = "PATH")]
    pub(crate) health_check: Option<String>,

    /// Protocol that TLS agrees on with --protocol tcp (ALPN); several in their order
    #[arg(long, value_name = "NAME")]
    pub(crate) alpn: Vec<String>,

    /// Oldest version of TLS, with clients and backends [default: 1.2]
    #[arg(
        long,
        value_parser = one_of([("1.2", MinTls::Tls12), ("1.3", MinTls::Tls13)]),
        value_name = "VERSION",
        help_heading = "Certificates"
    )]
    pub(crate) min_tls: Option<MinTls>,

    /// Certificate chain, PEM: shown to clients, and to a TLS backend that asks; of several, each with its
    /// --key, clients are shown the one that has the name they ask for
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        help_heading = "Certificates"
    )]
    pub(crate) cert: Vec<PathBuf>,

    /// Private key of the certificate, PEM; of several in their order
    #[arg(
        long,
        value_name = "FILE",
        requires = "cert",
        help_heading = "Certificates"
    )]
    pub(crate) key: Vec<PathBuf>,

    /// Ask clients for a certificate that one of these CAs signed, PEM
    #[arg(long, value_name = "FILE", help_heading = "Certificates")]
    pub(crate) client_ca: Option<PathBuf>,

    /// Whether a client may come without
    #[arg(
        long,
        value_parser = one_of([("required", ClientAuth::Required), ("optional", ClientAuth::Optional)]),
        value_name = "WHETHER",
        default_value = "required",
        requires = "client_ca",
        help_heading = "Certificates"
    )]
    pub(crate) client_auth: ClientAuth,

    /// Certificate chain for TLS backends, instead of --cert
    #[arg(
        long,
        value_name = "FILE",
        requires = "to_key",
        help_heading = "Certificates"
    )]
    pub(crate) to_cert: Option<PathBuf>,

    /// Private key of --to-cert
    #[arg(
        long,
        value_name = "FILE",
        requires = "to_cert",
        help_heading = "Certificates"
    )]
    pub(crate) to_key: Option<PathBuf>,

    /// CAs that TLS backends are verified with, PEM [default: the system's]
    #[arg(long, value_name = "FILE", help_heading = "Certificates")]
    pub(crate) to_ca: Option<PathBuf>,

    /// Name that TLS backends have to prove, and SNI [default: the host of --to]
    #[arg(long, value_name = "NAME", help_heading = "Certificates")]
    pub(crate) to_name: Option<String>,

    /// Policy file, or a directory with `*.yaml` and `*.json`; may be given several times
    #[arg(long, value_name = "PATH", help_heading = "Policy")]
    pub(crate) policy: Vec<PathBuf>,

    /// Label of the workload, for selectors of policies; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = label, help_heading = "Policy")]
    pub(crate) label: Vec<(String, String)>,

    /// Start even if there are policies and none of them is for this workload
    #[arg(long, requires = "policy", help_heading = "Policy")]
    pub(crate) allow_unselected: bool,

    /// What becomes of a path with `;` in it [default: reject where policies ask for paths, else keep]
    #[arg(long, value_parser = one_of([("reject", PathParameters::Reject), ("keep", PathParameters::Keep)]),
        value_name = "WHAT", help_heading = "Policy")]
    pub(crate) path_parameters: Option<PathParameters>,

    /// What becomes of `%2F` in a path [default: reject where policies ask for paths, else keep]
    #[arg(long, value_parser = encoded_slash(), value_name = "WHAT", help_heading = "Policy")]
    pub(crate) encoded_slash: Option<EncodedSlash>,

    /// Which policies judge [default: egress if only the backend has TLS, else ingress]
    #[arg(long, value_parser = traffic_direction(), value_name = "WAY", help_heading = "Policy")]
    pub(crate) direction: Option<TrafficDirection>,

    /// Require the PROXY protocol from clients, before TLS: v2, or the text form, v1
    #[arg(long, help_heading = "Addresses")]
    pub(crate) accept_proxy: bool,

    /// Send the PROXY protocol v2 to backends, before TLS
    #[arg(long, help_heading = "Addresses")]
    pub(crate) send_proxy: bool,

    /// X-Forwarded-For and -Proto: none, the client's address, or it behind what trusted proxies said
    #[arg(
        long,
        value_parser = one_of([("off", Forwarded::Off), ("set", Forwarded::Set), ("append", Forwarded::Append)]),
        value_name = "WHAT",
        default_value = "set",
        help_heading = "Addresses"
    )]
    pub(crate) forwarded: Forwarded,

    /// Proxies in front whose X-Forwarded-For is believed; may be given several times
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        help_heading = "Addresses"
    )]
    pub(crate) trusted_proxies: Vec<Block>,

    /// Host that backends are told: the client's, their own, or this one [default: backend where all are
    /// `tls:` with one name, else keep]
    #[arg(long, value_name = "HOST", help_heading = "Addresses")]
    pub(crate) host: Option<Host>,

    /// Answer /metrics, /healthz and /readyz here, in plain HTTP
    #[arg(long, value_name = "ADDR", help_heading = "Observation")]
    pub(crate) admin: Option<String>,

    /// Access log as JSON lines: a file, `-` for stdout, or `off`
    #[arg(
        long,
        value_name = "PATH",
        default_value = "-",
        help_heading = "Observation"
    )]
    pub(crate) access_log: PathBuf,

    /// Messages on stderr: level or filter, as RUST_LOG
    #[arg(long, value_name = "FILTER", help_heading = "Observation")]
    pub(crate) log: Option<String>,

    /// Longest TLS handshake or request head
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, help_heading = "Limits")]
    pub(crate) header_timeout: Duration,

    /// Longest wait for the next request, or for the next datagram of a client or its backend
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds, help_heading = "Limits")]
    pub(crate) idle_timeout: Duration,

    /// Longest stall of a client within a body
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, help_heading = "Limits")]
    pub(crate) send_timeout: Duration,

    /// Longest wait for a backend to accept, TLS handshake included
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, help_heading = "Limits")]
    pub(crate) connect_timeout: Duration,

    /// Longest stall of a backend that is to respond
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, help_heading = "Limits")]
    pub(crate) response_timeout: Duration,

    /// Longest silence of both ends of a tunnel: WebSocket, or --protocol tcp
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds, help_heading = "Limits")]
    pub(crate) tunnel_timeout: Duration,

    /// The same once one of them has ended
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, help_heading = "Limits")]
    pub(crate) half_close_timeout: Duration,

    /// Let a client of HTTP/1.1 end its sending and read its response; without it, it has left
    #[arg(long, help_heading = "Limits")]
    pub(crate) half_close: bool,

    /// How long running requests may go on after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, help_heading = "Limits")]
    pub(crate) grace: Duration,

    /// Most connections of clients at once; beyond it, they wait, and clients of UDP are dropped
    #[arg(long, value_name = "N", default_value = "65536", value_parser = clap::value_parser!(u32).range(1..=16_777_216), help_heading = "Limits")]
    pub(crate) max_connections: u32,

    /// Worker threads [default: number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Limits")]
    pub(crate) workers: Option<u16>,

    /// Where records are sealed: auto, kernel or user, or as in `tx=kernel,rx=user`
    #[arg(
        long,
        value_name = "ENGINE",
        default_value = "auto",
        help_heading = "Limits"
    )]
    pub(crate) offload: Offloads,
}

/// What is spoken on the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    Http,
    Tcp,
    Dtls,
}

impl From<Protocol> for underseal_proxy::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http => Self::Http,
            // What is judged is who sends them, once.
            Protocol::Tcp | Protocol::Dtls => Self::Tcp,
        }
    }
}

impl ProxyArgs {
    /// The oldest version of TLS that is spoken.
    pub(crate) fn oldest_tls(&self) -> MinTls {
        self.min_tls.unwrap_or(MinTls::Tls12)
    }

    /// Whether any backend is spoken to in TLS.
    pub(crate) fn originates(&self) -> bool {
        self.to.iter().any(Destination::is_tls)
    }

    /// The policies that judge. Whoever seals for a workload that does not is on its way out.
    pub(crate) fn judged_direction(&self) -> TrafficDirection {
        self.direction.unwrap_or_else(|| {
            if self.originates() && !self.listen.tls {
                TrafficDirection::Egress
            } else {
                TrafficDirection::Ingress
            }
        })
    }
}

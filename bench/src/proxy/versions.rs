//! The same proxies where either end speaks HTTP/2, or gRPC.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};

use super::{Contender, Ends, each_proxy, http2_backend, load, measure};
use crate::context::Context;
use crate::cpu_time::ProcessCpu;
use crate::http::SETTLE;
use crate::http::server::Server;
use crate::run::Samples;

/// Streams of one connection that are asked on at a time.
const STREAMS: usize = 16;

/// Fails when there is no h2load.
///
/// # Errors
///
/// When it cannot be started.
pub(super) fn check_installed() -> anyhow::Result<()> {
    let version = Command::new("h2load")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        bail!(
            "h2load is missing, and asks over HTTP/2\n\
             hint: apt-get install nghttp2-client, or --measure without it"
        );
    }
    Ok(())
}

pub(super) fn from_http2(
    context: &Context,
    round: u32,
    samples: &mut Samples,
) -> anyhow::Result<()> {
    each_proxy(context, round, Ends::FROM_HTTP2, |contender, proxy| {
        let at = (measure::FROM_HTTP2, contender, round);
        ask(context, proxy, at, &["/small"], samples)
    })
}

pub(super) fn to_http2(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    each_proxy(context, round, Ends::TO_HTTP2, |contender, proxy| {
        load(
            context,
            proxy,
            (measure::TO_HTTP2, contender, round),
            samples,
        )
    })
}

pub(super) fn grpc(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let message = context.directory.path().join("message");
    fs::write(&message, http2_backend::message()).context("cannot write a message")?;
    let message = message.to_str().context("an odd directory")?;
    let call = [
        http2_backend::METHOD,
        "--data",
        message,
        "--header=content-type: application/grpc",
        "--header=te: trailers",
    ];
    each_proxy(context, round, Ends::GRPC, |contender, proxy| {
        let at = (measure::GRPC, contender, round);
        ask(context, proxy, at, &call, samples)
    })
}

/// Lets h2load ask for a path, the first of `call`, with the options behind it.
fn ask(
    context: &Context,
    proxy: &Server,
    (measure, contender, round): (&str, &Contender, u32),
    call: &[&str],
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let requests = context.scale.proxy_requests;
    let connections = context.scale.proxy_connections.div_ceil(STREAMS);
    let (path, options) = call.split_first().context("nothing is asked for")?;
    let mut command = Command::new("h2load");
    command
        .args(["--threads", "1", "--requests", &requests.to_string()])
        .args(["--clients", &connections.to_string()])
        .args(["--max-concurrent-streams", &STREAMS.to_string()])
        .args(["--tls13-ciphers", context.credentials.suite.name()])
        .args(options)
        .arg(format!(
            "https://localhost:{}{path}",
            proxy.address().port()
        ));
    sleep(SETTLE);
    let before = ProcessCpu::of(proxy.pid())?;
    let began = Instant::now();
    let output = command.output().context("cannot start h2load")?;
    let elapsed = began.elapsed().as_secs_f64();
    sleep(SETTLE);
    let cpu = ProcessCpu::of(proxy.pid())?.since(&before);
    let good = good_replies(&output)?;
    samples.add(
        (measure, contender.row, contender.setting, round),
        &[
            (
                "cpu_us_per_request",
                cpu.as_secs_f64() * 1e6 / requests as f64,
            ),
            ("errors", requests.saturating_sub(good) as f64),
            ("requests_per_s", requests as f64 / elapsed),
        ],
    );
    Ok(())
}

/// How many were answered with 200, over HTTP/2, as h2load says it.
fn good_replies(output: &Output) -> anyhow::Result<usize> {
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.contains("Application protocol: h2\n"),
        "h2load: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let good = said.lines().find_map(|line| {
        let counts = line.strip_prefix("status codes: ")?;
        counts.split(" 2xx").next()?.parse().ok()
    });
    good.with_context(|| format!("h2load counts nothing: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    #[test]
    fn what_h2load_counts_is_read() {
        let output = |said: &str| Output {
            status: ExitStatus::from_raw(0),
            stdout: said.as_bytes().to_vec(),
            stderr: Vec::new(),
        };
        let said = "Application protocol: h2\n\
                    status codes: 39 2xx, 0 3xx, 1 4xx, 0 5xx\n";
        assert_eq!(good_replies(&output(said)).unwrap(), 39);
        assert!(good_replies(&output("Application protocol: http/1.1\n")).is_err());
    }
}

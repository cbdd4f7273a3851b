//! The bench itself, in its smallest size: every measure, row and figure must still be there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use underseal_bench::datagrams;
use underseal_bench::floods;
use underseal_bench::handshakes;
use underseal_bench::http::name::{HAPROXY, NGINX_PLAIN, NGINX_TLS, NGINX_TUNED, SERVE};
use underseal_bench::mux::MEASURE;
use underseal_bench::mux::report::figures as mux_figures;
use underseal_bench::mux::service::contenders;
use underseal_bench::policy::{self, heads, programs};
use underseal_bench::preload;
use underseal_bench::proxy;
use underseal_bench::report::figures::{Figure, figures};
use underseal_bench::rows::name::{
    ONE_LOOP, OPENSSL, PLAIN, RUSTLS_AWS, RUSTLS_RING, TOKIO_RUSTLS_AWS, TOKIO_RUSTLS_RING,
    UNDERSEAL, UNDERSEAL_TOKIO,
};
use underseal_bench::run::Run;
use underseal_record::Backend;

#[test]
fn a_quick_run_measures_every_row_and_every_figure() {
    build_underseal();
    let directory = tempfile::tempdir().unwrap();
    let (run, summary) = quick_run("streams", directory.path());
    let rows = |measure: &str| rows(&run, measure);
    let streams = BTreeSet::from(
        [
            PLAIN,
            UNDERSEAL,
            UNDERSEAL_TOKIO,
            RUSTLS_RING,
            RUSTLS_AWS,
            TOKIO_RUSTLS_RING,
            TOKIO_RUSTLS_AWS,
            OPENSSL,
        ]
        .map(str::to_owned),
    );
    let servers = BTreeSet::from([SERVE, NGINX_TLS, NGINX_TUNED, NGINX_PLAIN].map(str::to_owned));
    for measure in ["http download", "http load"] {
        assert_eq!(rows(measure), servers, "{measure}");
    }
    let servers = names(&[SERVE, NGINX_TLS, HAPROXY]);
    assert_eq!(rows("http connections"), servers);
    assert_eq!(rows("idle"), streams);
    let streams = &streams | &BTreeSet::from([ONE_LOOP.to_owned()]);
    for measure in ["send", "receive", "round trip"] {
        assert_eq!(rows(measure), streams, "{measure}");
    }
    assert_eq!(
        rows("replies"),
        names(&[UNDERSEAL_TOKIO, TOKIO_RUSTLS_RING, TOKIO_RUSTLS_AWS])
    );
    let pairs = handshakes::name::PAIRS.map(|(own, peer)| [own, peer]);
    assert_eq!(rows("handshake"), names(pairs.as_flattened()));
    all_are_there(&figures(&run), &summary);
    assert!(summary.contains("**limit**"));
}

#[test]
fn a_quick_run_of_policy_measures_every_row_and_every_figure() {
    let directory = tempfile::tempdir().unwrap();
    let (run, summary) = quick_run("policy", directory.path());
    let on_streams = [
        programs::name::NONE,
        programs::name::PASS,
        programs::name::LOOK,
        programs::name::APPLY,
        programs::name::CORK,
        programs::name::MESSAGES,
    ];
    for measure in ["program send", "program receive"] {
        assert_eq!(rows(&run, measure), names(&on_streams), "{measure}");
    }
    let judged = [
        heads::name::HTTPARSE,
        heads::name::HTTP1_READ,
        heads::name::HTTP1_ALLOWED,
        heads::name::HTTP1_DENIED,
        heads::name::NEAREST,
        heads::name::HTTP2_READ,
        heads::name::HTTP2_ALLOWED,
        heads::name::HTTP2_DENIED,
    ];
    for measure in ["heads", "allocations"] {
        assert_eq!(rows(&run, measure), names(&judged), "{measure}");
    }
    all_are_there(&(policy::SUITE.figures)(&run), &summary);
}

#[test]
fn a_quick_run_of_proxy_measures_every_row_and_every_figure() {
    build_underseal();
    let directory = tempfile::tempdir().unwrap();
    let (run, summary) = quick_run("proxy", directory.path());
    let proxies = [
        proxy::name::UNDERSEAL,
        proxy::name::HAPROXY,
        proxy::name::NGINX,
    ];
    for measure in proxy::SUITE.measures {
        let expected = match measure.name {
            // nginx asks no backend over HTTP/2, but for gRPC.
            proxy::measure::TO_HTTP2 => names(&proxies[..2]),
            _ => names(&proxies),
        };
        assert_eq!(rows(&run, measure.name), expected, "{}", measure.name);
    }
    all_are_there(&(proxy::SUITE.figures)(&run), &summary);
}

#[test]
fn a_quick_run_of_preload_measures_every_row_and_every_figure() {
    build_underseal();
    let directory = tempfile::tempdir().unwrap();
    let (run, summary) = quick_run("preload", directory.path());
    let run_row = preload::name::NGINX_RUN;
    for measure in preload::SUITE.measures {
        let servers = match measure.name {
            preload::measure::PROXIED => names(&[NGINX_TUNED, run_row]),
            preload::measure::PLAIN => names(&[NGINX_PLAIN, preload::name::NGINX_PLAIN_RUN]),
            _ => names(&[SERVE, NGINX_TLS, NGINX_TUNED, run_row]),
        };
        assert_eq!(rows(&run, measure.name), servers, "{}", measure.name);
    }
    all_are_there(&(preload::SUITE.figures)(&run), &summary);
}

#[test]
fn a_quick_run_of_mux_measures_every_row_and_its_figure() {
    let directory = tempfile::tempdir().unwrap();
    let (run, summary) = quick_run("mux", directory.path());
    let rows: Vec<_> = contenders().iter().map(|row| row.name()).collect();
    assert_eq!(run.samples.rows(MEASURE), rows);
    all_are_there(&mux_figures(&run.samples), &summary);
}

#[test]
fn a_quick_run_of_floods_measures_every_row_and_its_figure() {
    let directory = tempfile::tempdir().unwrap();
    let (run, summary) = quick_run("floods", directory.path());
    let both = names(&[floods::name::ALONE, floods::name::FLOODED]);
    assert_eq!(rows(&run, floods::MEASURE), both);
    all_are_there(&(floods::SUITE.figures)(&run), &summary);
}

#[test]
fn a_quick_run_of_datagrams_measures_every_row_and_its_figures() {
    let directory = tempfile::tempdir().unwrap();
    let (run, summary) = quick_run("datagrams", directory.path());
    let mut packets = names(&datagrams::packets::RUSTLS);
    packets.insert(datagrams::packets::PROVIDER.to_owned());
    for backend in Backend::ALL {
        packets.insert(datagrams::packets::alone_row(backend.name()));
        packets.insert(datagrams::packets::train_row(backend.name()));
        packets.insert(datagrams::packets::single_row(backend.name()));
    }
    assert_eq!(rows(&run, datagrams::packets::SEAL), packets);
    assert_eq!(rows(&run, datagrams::packets::OPEN), packets);
    let transfers = datagrams::transfer::name::ALL;
    assert_eq!(rows(&run, datagrams::transfer::MEASURE), names(&transfers));
    all_are_there(&(datagrams::SUITE.figures)(&run), &summary);
}

#[test]
fn a_run_is_compared_with_an_earlier_one() {
    let directory = tempfile::tempdir().unwrap();
    let part = ["--quick", "--measure", "records"];
    bench("streams", directory.path(), &part);
    let earlier = directory.path().join("raw.json");
    let kept = directory.path().join("earlier.json");
    std::fs::rename(earlier, &kept).unwrap();
    let kept = kept.to_str().unwrap();
    let output = bench(
        "streams",
        directory.path(),
        &[&part[..], &["--compare", kept]].concat(),
    );
    let printed = String::from_utf8(output).unwrap();
    assert!(
        printed.contains("new ÷ old") && printed.contains("| records seal | AEAD alone, ring |")
    );
}

#[test]
fn a_row_that_does_not_exist_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let options = ["--quick", "--measure", "records", "--only", "no such row"];
    let output = command("streams", directory.path(), &options)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && stderr.contains("nothing was measured"),
        "{stderr}"
    );
}

/// Cargo builds the programs of this package for its tests, and leaves no library of another beside them. It is asked
/// for the workspace and a test of it, since it gives packages alone other features of their dependencies, which
/// would all be built again.
fn build_underseal() {
    let mut build = Command::new(env!("CARGO"));
    // Build scripts look at what cargo tells this test about its package: ring would be built anew, and all above it.
    for (name, _) in std::env::vars_os() {
        let is_of_a_package = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if is_of_a_package {
            build.env_remove(name);
        }
    }
    build.args(["build", "--quiet", "--workspace"]);
    build.args(["--lib", "--bins", "--test", "smoke"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().expect("start cargo").success());
}

/// A run of every measure of a suite, in its smallest size, and its summary.
fn quick_run(suite: &str, directory: &Path) -> (Run, String) {
    let output = bench(suite, directory, &["--quick"]);
    let summary = String::from_utf8(output).expect("a summary is text");
    (Run::read(directory).expect("a run is kept"), summary)
}

fn rows(run: &Run, measure: &str) -> BTreeSet<String> {
    run.samples.rows(measure).into_iter().collect()
}

fn names(rows: &[&str]) -> BTreeSet<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

/// That every figure was measured, and is printed.
fn all_are_there(figures: &[Figure], summary: &str) {
    for figure in figures {
        let what = &figure.what;
        assert!(figure.reached().is_some(), "not measured: {what}");
        assert!(summary.contains(what), "not printed: {what}");
    }
}

fn bench(suite: &str, directory: &Path, options: &[&str]) -> Vec<u8> {
    let output = command(suite, directory, options)
        .output()
        .expect("start the bench");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    output.stdout
}

fn command(suite: &str, directory: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underseal-bench"));
    command.arg(suite).args(options).arg("--out").arg(directory);
    command
}

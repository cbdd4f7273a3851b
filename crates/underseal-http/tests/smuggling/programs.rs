//! The corpus as nginx and HAProxy read it: each as a reverse proxy before a backend that records
//! what it is sent. What we read they read alike, or refuse; who refuses what is in
//! `docs/smuggling.md`, which `UPDATE_SNAPSHOTS=1` writes anew.

mod backend;
mod exchange;
mod haproxy;
mod nginx;
mod proxy;
mod table;

use std::thread;

use self::exchange::{Exchange, Seen, exchange};
use self::proxy::Proxy;
use crate::corpus::{CLASSES, Case};

/// What a program made of every case, in the order of the corpus.
struct Outcomes {
    program: &'static str,
    exchanges: Vec<Exchange>,
}

fn run(start: fn() -> Proxy) -> Outcomes {
    let proxy = start();
    let cases = CLASSES.iter().flat_map(|class| class.cases);
    Outcomes {
        program: proxy.name,
        exchanges: cases.map(|case| exchange(&proxy, case.sent)).collect(),
    }
}

/// What keeps a program from having read a case as we do; nothing if it refused it.
fn difference(case: &Case, exchange: &Exchange) -> Option<String> {
    let ours = case.reading.ok()?;
    let (first, rest) = exchange.seen.split_first()?;
    let expected = Seen {
        method: ours.method.to_owned(),
        // Programs decode what stays encoded in our normal form.
        path: exchange::decode(ours.path.as_bytes()),
        host: ours.host.to_owned(),
        content: ours.content,
    };
    let is_alike = *first == expected && (rest.is_empty() || rest == [Seen::next()]);
    (!is_alike).then(|| format!("{}: {expected:?} is {:?}", case.name, exchange.seen))
}

#[test]
fn what_we_read_nginx_and_haproxy_read_alike_or_refuse() {
    let haproxy = thread::spawn(|| run(haproxy::start));
    let nginx = run(nginx::start);
    let haproxy = haproxy.join().expect("HAProxy has read the corpus");
    let programs = [nginx, haproxy];
    for Outcomes { program, exchanges } in &programs {
        let cases = CLASSES.iter().flat_map(|class| class.cases);
        let cases = cases.zip(exchanges);
        let wrong: Vec<_> = cases
            .clone()
            .filter_map(|(case, exchange)| difference(case, exchange))
            .collect();
        assert!(
            wrong.is_empty(),
            "{program} reads other requests: {wrong:#?}"
        );
        // It has read most of what has one reading, or nothing was compared.
        let ours = cases.filter(|(case, _)| case.reading.is_ok());
        let (read, all) = ours.fold((0, 0), |(read, all), (_, exchange)| {
            (read + usize::from(!exchange.seen.is_empty()), all + 1)
        });
        assert!(10 * read >= 8 * all, "{program} has read {read} of {all}");
    }
    table::check(&programs);
}

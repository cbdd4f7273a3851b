//! The token of a request: verified, and remembered.

#[path = "../../../crates/underseal-proxy/src/tokens/tests/issuer.rs"]
mod issuer;

use std::hint::black_box;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::json;
use underseal_http::{ReadOptions, Scratch, http1};
use underseal_policy::{PolicyFile, load_all};
use underseal_proxy::measured::Verifier;

use self::issuer::{ISSUER, Issuer};
use crate::context::Context;
use crate::cpu_time::{pin_to, thread_cpu};
use crate::run::Samples;

/// Names of the rows.
pub mod name {
    /// Its signature is verified.
    pub const VERIFIED: &str = "ES256, verified";
    /// It was verified before, and is looked up.
    pub const CACHED: &str = "ES256, cached";
}

/// How many times as long as a look-up a signature takes, roughly.
const DEARER: usize = 100;

/// Measures how long either takes, the search for it among the fields included.
///
/// # Errors
///
/// When the keys cannot be used, or the token is not believed.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let worker = || {
        pin_to(context.cores.measured)?;
        let mut subject = Subject::new()?;
        for row in [name::VERIFIED, name::CACHED] {
            if context.wants(row) {
                let took = subject.nanoseconds(row == name::CACHED, context.scale.heads)?;
                samples.add(("tokens", row, "", round), &[("ns", took)]);
            }
        }
        Ok(())
    };
    // On a thread of its own, so that the pin ends with the measure.
    std::thread::scope(|scope| scope.spawn(worker).join())
        .unwrap_or_else(|_| bail!("the measure panicked"))
}

/// A head with a token, and who believes it.
struct Subject {
    head: Vec<u8>,
    verifier: Verifier,
}

impl Subject {
    fn new() -> anyhow::Result<Self> {
        let issuer = Issuer::new("bench");
        let keys = json!({ "keys": [issuer.jwk()] });
        let text = format!(
            "apiVersion: underseal/v1alpha1\nkind: RequestAuthentication\n\
             metadata: {{ name: issuer }}\n\
             spec: {{ jwtRules: [{{ issuer: '{ISSUER}', jwks: '{keys}', audiences: [orders] }}] }}\n"
        );
        let name = "tokens.yaml";
        let loaded = load_all(&[PolicyFile { name, text: &text }], &[]);
        let loaded = loaded.map_err(|errors| anyhow!("{errors:?}"))?;
        let token = issuer.token(&json!({ "groups": ["buyers", "readers"], "name": "Some Body" }));
        let head = format!(
            "GET /v1/orders/7 HTTP/1.1\r\nHost: shop.test\r\nAccept: */*\r\n\
             User-Agent: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        Ok(Self {
            head: head.into_bytes(),
            verifier: Verifier::new(&loaded).map_err(|why| anyhow!(why))?,
        })
    }

    /// CPU time of one token; of those that are verified fewer are measured.
    fn nanoseconds(&mut self, is_cached: bool, heads: usize) -> anyhow::Result<f64> {
        let times = if is_cached { heads } else { heads / DEARER }.max(1);
        let mut scratch = Scratch::default();
        let head = http1::read(&self.head, &ReadOptions::default(), &mut scratch);
        let head = head.map_err(|refusal| anyhow!("{refusal}"))?;
        let request = head.context("half a head")?.request();
        // The first is verified in any case.
        ensure!(
            self.verifier.believes(&request),
            "the token is not believed"
        );
        let began = thread_cpu();
        for _ in 0..times {
            if !is_cached {
                self.verifier.forget();
            }
            let believed = self.verifier.believes(black_box(&request));
            ensure!(believed, "the token is not believed");
        }
        Ok((thread_cpu() - began).as_nanos() as f64 / times as f64)
    }
}

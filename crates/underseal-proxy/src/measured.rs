//! What the bench measures of the proxy, and nobody else has a use for.

use underseal_http::Request;
use underseal_policy::{Labels, Loaded};

use crate::tokens::{Cache, Found, Tokens};

/// Whose tokens are believed, and those that a worker remembers.
#[derive(Debug)]
pub struct Verifier {
    tokens: Tokens,
    remembered: Cache,
}

impl Verifier {
    /// Believes what `loaded` says, and remembers nothing.
    ///
    /// # Errors
    /// Why a set of keys cannot be used.
    pub fn new(loaded: &Loaded) -> Result<Self, String> {
        let tokens = Tokens::compile(loaded, &Labels::new()).map_err(|why| why.0)?;
        Ok(Self {
            tokens,
            remembered: Cache::default(),
        })
    }

    /// Finds the token of a request, and says whether it is believed.
    pub fn believes(&mut self, request: &Request<'_>) -> bool {
        let found = self.tokens.find(request, &mut self.remembered);
        matches!(found, Ok(Found::Is(_)))
    }

    /// Forgets the tokens that were verified.
    pub fn forget(&mut self) {
        self.remembered = Cache::default();
    }
}

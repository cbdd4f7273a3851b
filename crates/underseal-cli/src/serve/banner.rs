//! What is printed at the start, for the person who started the server.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use underseal::record::Algorithm;

use super::shell;
use underseal_server::certificate::Fingerprint;

/// The effective configuration, and how to try it.
pub(crate) struct Banner<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) address: SocketAddr,
    /// Where plain HTTP is led to it.
    pub(crate) redirected: Option<SocketAddr>,
    pub(crate) workers: usize,
    pub(crate) certificates: Vec<(Fingerprint, PathBuf)>,
    /// Whether the certificate was made here, and clients thus have to be told about it.
    pub(crate) development: bool,
}

impl Banner<'_> {
    fn url(&self) -> String {
        let ip = self.address.ip();
        let port = self.address.port();
        if ip.is_loopback() || ip.is_unspecified() {
            format!("https://localhost:{port}/")
        } else {
            format!("https://{}/", self.address)
        }
    }
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url();
        writeln!(f, "serving      {}", self.dir.display())?;
        writeln!(f, "url          {url}")?;
        writeln!(
            f,
            "listen       {} ({} workers)",
            self.address, self.workers
        )?;
        if let Some(from) = self.redirected {
            writeln!(f, "redirect     http://{from}/")?;
        }
        let aead = underseal::aead_backend(Algorithm::Aes128Gcm);
        writeln!(f, "aead         {aead}")?;
        let kind = if self.development {
            " (development)"
        } else {
            ""
        };
        for (fingerprint, certificate) in &self.certificates {
            writeln!(f, "certificate  {}{kind}", certificate.display())?;
            writeln!(f, "sha256       {fingerprint}")?;
            if self.development {
                let path = certificate.to_string_lossy();
                writeln!(f, "try          curl --cacert {} {url}", shell::word(&path))?;
            }
        }
        Ok(())
    }
}

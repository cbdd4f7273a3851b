//! Certificates and their keys, as the command line names them.

use std::path::PathBuf;

use underseal_server::certificate::Paths;

use crate::exit::{Exit, Failure};

/// Each certificate with its key, in their order.
///
/// # Errors
/// If there are not as many keys.
pub(crate) fn pairs(certificates: &[PathBuf], keys: &[PathBuf]) -> Result<Vec<Paths>, Failure> {
    if certificates.len() != keys.len() {
        let message = format!(
            "{} certificates and {} keys do not go together",
            certificates.len(),
            keys.len()
        );
        let hint = "give `--cert FILE --key FILE` once for each certificate";
        return Err(Failure::new(Exit::Usage, message, hint));
    }
    Ok(certificates.iter().zip(keys).map(paths).collect())
}

/// A certificate and its key.
pub(crate) fn paths((certificate, key): (&PathBuf, &PathBuf)) -> Paths {
    Paths {
        certificate: certificate.clone(),
        key: key.clone(),
    }
}

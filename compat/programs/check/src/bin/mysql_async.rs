//! Asks a server.

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, OptsBuilder, SslOpts};

pub async fn ask() -> Result<Option<u64>, Error> {
    let tls = SslOpts::default().with_danger_skip_domain_validation(true);
    let options = OptsBuilder::default()
        .ip_or_hostname("localhost")
        .ssl_opts(tls);
    let mut connection = Conn::new(options).await?;
    connection.query_first("SELECT 1").await
}

fn main() {}

//! Fetches a page.

use rustls::ClientConfig;

pub async fn fetch(config: ClientConfig) -> reqwest::Result<String> {
    let client = reqwest::Client::builder().tls_backend_preconfigured(config);
    let response = client.build()?.get("https://localhost/").send().await?;
    response.text().await
}

fn main() {}

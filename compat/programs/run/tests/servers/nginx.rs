//! hyper-rustls and nginx.

use std::fs;
use std::path::Path;
use std::process::Command;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use underseal_testkit::{Certificates, KeyType, peers, require_program};

use crate::{client_config, in_time, pattern};

fn nginx(directory: &Path, certificates: &Certificates, port: u16) -> Command {
    let place = directory.display();
    let certificate = certificates.server_cert_file();
    let key = certificates.server_key_file();
    let configuration = format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/errors warn;
         events {{}}
         http {{
             access_log off;
             client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
             fastcgi_temp_path {place}/fastcgi; scgi_temp_path {place}/scgi;
             uwsgi_temp_path {place}/uwsgi;
             server {{
                 listen 127.0.0.1:{port} ssl; root {place}/files;
                 ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;
             }}
         }}",
        certificate.display(),
        key.display()
    );
    fs::write(directory.join("configuration"), configuration).expect("it is written");
    let mut command = Command::new(require_program("nginx"));
    command.arg("-e").arg(directory.join("errors"));
    command.arg("-c").arg(directory.join("configuration"));
    command.arg("-p").arg(directory);
    command
}

#[tokio::test]
async fn hyper_rustls_fetches_a_file_from_nginx() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let directory = tempfile::tempdir().expect("a directory");
    let content = pattern(1_000_000);
    fs::create_dir(directory.path().join("files")).expect("a directory");
    fs::write(directory.path().join("files/file"), &content).expect("it is written");
    let (_nginx, address) =
        peers::spawn_on_free_port(|port| nginx(directory.path(), &certificates, port));

    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(client_config(&certificates))
        .https_only()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    for _ in 0..3 {
        let url = format!("https://{address}/file").parse().expect("a URL");
        let response = in_time(client.get(url)).await.expect("a response");
        assert_eq!(response.status(), 200);
        let body = in_time(response.into_body().collect()).await;
        assert!(body.expect("a body").to_bytes() == content);
    }
}

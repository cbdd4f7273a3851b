//! tokio-postgres-rustls and PostgreSQL, which binds the password to the TLS channel.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use underseal_testkit::{Certificates, KeyType, peers};

use crate::{client_config, in_time, output, pattern, text};

/// The user and the group that the server runs as, if not ours: it does not run as root.
struct User {
    uid: u32,
    gid: u32,
}

fn id(arguments: &[&str]) -> u32 {
    let id = output(Command::new("id").args(arguments));
    id.trim().parse().expect("a number")
}

impl User {
    fn find() -> Option<Self> {
        (id(&["-u"]) == 0).then(|| Self {
            uid: id(&["-u", "postgres"]),
            gid: id(&["-g", "postgres"]),
        })
    }

    fn own(&self, path: &Path) {
        chown(path, Some(self.uid), Some(self.gid)).expect("root may");
    }
}

/// A program of the newest PostgreSQL that is installed.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let programs = versions.filter_map(|version| Some(version.ok()?.path().join("bin").join(name)));
    let newest = programs.filter(|program| program.is_file()).max();
    newest.expect("this test needs PostgreSQL; install it with `apt-get install --yes postgresql`")
}

/// A database cluster with a user `tester`.
struct Cluster {
    directory: tempfile::TempDir,
    user: Option<User>,
}

const PASSWORD: &str = "open sesame";

impl Cluster {
    fn new(certificates: &Certificates) -> Self {
        let cluster = Self {
            directory: tempfile::tempdir().expect("a directory"),
            user: User::find(),
        };
        cluster.own(cluster.directory.path());
        cluster.write("password", PASSWORD.as_bytes());
        let certificate = fs::read(certificates.server_cert_file()).expect("a certificate");
        cluster.write("server.pem", &certificate);
        let key = fs::read(certificates.server_key_file()).expect("a key");
        cluster.write("server.key", &key);
        let mut initdb = cluster.command("initdb");
        initdb.args([
            "--username",
            "tester",
            "--auth",
            "scram-sha-256",
            "--no-sync",
        ]);
        initdb.args(["--pwfile", text(&cluster.path("password"))]);
        initdb.arg("--no-locale");
        output(initdb.args(["--pgdata", text(&cluster.path("data"))]));
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn own(&self, path: &Path) {
        if let Some(user) = &self.user {
            user.own(path);
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::write(&path, bytes).expect("it is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        self.own(&path);
    }

    fn command(&self, name: &str) -> Command {
        let mut command = match &self.user {
            None => Command::new(program(name)),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &user.uid.to_string(), "--clear-groups"]);
                command.args(["--regid", &user.gid.to_string()]);
                command.arg(program(name));
                command
            }
        };
        command.current_dir(self.directory.path());
        command
    }

    fn server(&self, port: u16) -> Command {
        let mut command = self.command("postgres");
        command.args(["-D", text(&self.path("data"))]);
        command.args(["-k", text(self.directory.path())]);
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", text(&self.path("server.pem"))),
            format!("ssl_key_file={}", text(&self.path("server.key"))),
        ] {
            command.args(["-c", &setting]);
        }
        command
    }
}

#[tokio::test]
async fn tokio_postgres_asks_postgresql() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let cluster = Cluster::new(&certificates);
    let (server, address) = peers::spawn_on_free_port(|port| cluster.server(port));
    server.wait_for("ready to accept connections");

    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(address.port());
    config.user("tester").password(PASSWORD).dbname("postgres");
    config.ssl_mode(SslMode::Require);
    config.channel_binding(ChannelBinding::Require);
    let tls = MakeRustlsConnect::new(client_config(&certificates));
    let connected = in_time(config.connect(tls)).await;
    let (client, connection) = connected.expect("a connection");
    let connection = tokio::spawn(connection);

    let statement = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = in_time(client.query_one(statement, &[])).await;
    assert!(row.expect("a row").get::<_, bool>(0));
    let value = String::from_utf8(pattern(1_000_000)).expect("ASCII");
    let row = in_time(client.query_one("SELECT $1::text", &[&value])).await;
    assert!(row.expect("a row").get::<_, String>(0) == value);
    drop(client);
    let ended = in_time(connection).await.expect("it does not panic");
    ended.expect("it ends in order");
    // One that is killed leaves its shared memory behind.
    output(Command::new("kill").args(["-INT", &server.id().to_string()]));
    server.finish().successful();
}

//! The slashing store: a database of its own in the tests' PostgreSQL server, reached over TLS through the parent's vsock-proxy.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{place, said, top};
use serde_json::{Value, json};

/// Name that the server's certificate has; nothing resolves it but the enclave's own list of tunnels.
pub const HOST: &str = "slashing.example.org";
/// vsock port of the tunnel.
pub const VSOCK_PORT: u32 = 8101;

/// The database.
pub struct Database {
    folder: PathBuf,
    pub name: String,
    pub port: u16,
    pub password: String,
}

impl Database {
    /// Makes it, with Web3Signer's schema.
    pub fn new(name: &str) -> Self {
        let folder = place("NITRO_TEST_POSTGRES");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let database = Self {
            name: format!("service_{name}_{}", std::process::id()),
            port: read("port").parse().unwrap(),
            password: read("password"),
            folder: folder.clone(),
        };
        database.run("postgres", &format!("CREATE DATABASE {}", database.name));
        let schema = top().join("web3signer-rs/tests/data/postgres/schema.sql");
        database.run(&database.name, &std::fs::read_to_string(schema).unwrap());
        database
    }

    /// One value.
    pub fn ask(&self, question: &str) -> String {
        self.run(&self.name, question)
    }

    /// What the operator encrypts for the signer.
    pub fn credential(&self, version: u64) -> Value {
        let authority = std::fs::read_to_string(self.folder.join("ca.pem")).unwrap();
        json!({ "version": version, "postgresql": {
            "username": "postgres", "password": self.password, "ca_pem": authority,
        } })
    }

    fn run(&self, database: &str, text: &str) -> String {
        let mut child = Command::new("psql")
            .args([
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "--set=ON_ERROR_STOP=1",
            ])
            .args(["--username=postgres", "--dbname", database, "--host"])
            .arg(&self.folder)
            .args(["--port", &self.port.to_string()])
            .env("PGPASSWORD", &self.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Of no use to anybody; the server itself goes with the tests.
        if !std::thread::panicking() {
            self.run("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

//! The server that `scripts/with-stores.sh` started, and a database of its own for each test.

use crate::support::{Counter, service};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};
use web3signer_rs::slashing::Protection;
use web3signer_rs::slashing::health::HealthTimes;
use web3signer_rs::slashing::postgres::jdbc::Password;
use web3signer_rs::slashing::postgres::{Postgres, PostgresConfig};

pub(super) const SCHEMA: &str = include_str!("../../data/postgres/schema.sql");

/// The server's folder: port, password, ca.pem, and the socket for the administrator.
pub(super) struct Server {
    pub(super) folder: PathBuf,
    pub(super) port: String,
    pub(super) password: String,
}

impl Server {
    pub(super) fn get() -> Self {
        let folder = PathBuf::from(service("NITRO_TEST_POSTGRES"));
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        Self {
            port: read("port"),
            password: read("password"),
            folder,
        }
    }

    /// Percent-encoded, for a URL.
    pub(super) fn ca(&self) -> String {
        self.folder.join("ca.pem").to_str().unwrap().replace('%', "%25")
    }

    /// A session of the administrator over the Unix socket, beside the store.
    pub(super) async fn administrator(&self, database: &str) -> Client {
        let (client, driver) = tokio_postgres::Config::new()
            .host_path(&self.folder)
            .port(self.port.parse().unwrap())
            .user("postgres")
            .password(&self.password)
            .dbname(database)
            .connect(NoTls)
            .await
            .unwrap();
        tokio::spawn(driver);
        client
    }
}

/// A database of its own with the schema.
pub(super) struct Database {
    pub(super) server: Server,
    pub(super) name: String,
}

impl Database {
    pub(super) async fn make() -> Self {
        let database = Self::make_empty().await;
        database.admin().await.batch_execute(SCHEMA).await.unwrap();
        database
    }

    pub(super) async fn make_empty() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "slashing_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let server = Server::get();
        let admin = server.administrator("postgres").await;
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        Self { server, name }
    }

    pub(super) async fn admin(&self) -> Client {
        self.server.administrator(&self.name).await
    }

    pub(super) fn config(&self) -> PostgresConfig {
        let (port, ca) = (&self.server.port, self.server.ca());
        let url = format!(
            "jdbc:postgresql://localhost:{port}/{}?sslmode=verify-full&sslrootcert={ca}",
            self.name
        );
        PostgresConfig {
            url: url.parse().unwrap(),
            username: Some("postgres".to_owned()),
            password: Some(Password::new(self.server.password.clone())),
            genesis_validators_root: None,
            pruning: None,
            health: HealthTimes {
                timeout: Duration::from_secs(3),
                interval: Duration::from_millis(50),
            },
        }
    }

    pub(super) async fn store(&self) -> Postgres {
        Postgres::open(self.config()).await.unwrap()
    }

    pub(super) async fn signer(&self) -> Arc<Protection> {
        Arc::new(Protection::postgres(
            self.store().await,
            Arc::new(Counter::default()),
        ))
    }

    pub(super) async fn count(&self, table: &str) -> i64 {
        let row = self
            .admin()
            .await
            .query_one(&format!("SELECT count(*) FROM {table}"), &[])
            .await
            .unwrap();
        row.get(0)
    }

    /// The floors of validator 1 as text: slot, source, target.
    pub(super) async fn floors(&self) -> [String; 3] {
        let sql = "SELECT coalesce(slot::text, ''), coalesce(source_epoch::text, ''), coalesce(target_epoch::text, '') FROM low_watermarks WHERE validator_id = 1";
        let row = self.admin().await.query_one(sql, &[]).await.unwrap();
        [row.get(0), row.get(1), row.get(2)]
    }
}

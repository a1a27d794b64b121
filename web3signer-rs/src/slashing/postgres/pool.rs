//! A few connections, lent one at a time.
//!
//! A connection comes back only from a caller that says it is done: one that was dropped in the middle of a transaction
//! (a client that went away, a time limit) is closed, and the server rolls back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode as DriverMode;
use tokio_postgres::{Client, Config, NoTls};

use super::jdbc::SslMode;
use super::tls::Tls;
use super::{PostgresConfig, PostgresError};
use crate::slashing::trust::Roots;

/// Connections at once; the default of the pool that Web3Signer uses.
const CONNECTIONS: usize = 10;

/// Longest wait for TCP.
const CONNECT: Duration = Duration::from_secs(3);

/// Longest wait for a whole login.
const LOGIN: Duration = Duration::from_secs(5);

/// What every session starts with: a commit that was answered is on disk, nothing waits for ever, times of the server's
/// configuration notwithstanding.
const SESSION: &str = "SET synchronous_commit = on; \
    SET statement_timeout = '5s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '15s'";

/// The pool.
pub(super) struct Pool {
    settings: Config,
    tls: Option<Tls>,
    free: Mutex<Vec<Connection>>,
    room: Arc<Semaphore>,
}

/// A session and the task that drives it.
struct Connection {
    client: Client,
    driver: JoinHandle<()>,
}

/// A connection on loan.
pub(super) struct Lease<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
    _room: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(config: &PostgresConfig) -> Result<Self, PostgresError> {
        let url = &config.url;
        let mut settings = Config::new();
        settings
            .host(&url.host)
            .port(url.port)
            .dbname(&url.database)
            .application_name("web3signer-rs")
            .connect_timeout(CONNECT)
            // A connection that something on the way forgot must not cost a duty before it is noticed.
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(CONNECT);
        if let Some(user) = config.username.as_ref().or(url.user.as_ref()) {
            settings.user(user);
        }
        if let Some(password) = config.password.as_ref().or(url.password.as_ref()) {
            settings.password(password.as_str());
        }
        let tls = match &url.ssl {
            SslMode::Plain => {
                settings.ssl_mode(DriverMode::Disable);
                None
            }
            SslMode::VerifyFull { roots } => {
                settings.ssl_mode(DriverMode::Require);
                Some(Tls(Roots::load(roots.as_deref())?.client_config()?))
            }
        };
        Ok(Self {
            settings,
            tls,
            free: Mutex::new(Vec::new()),
            room: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// A connection, waiting for one if all are lent.
    pub(super) async fn lend(&self) -> Result<Lease<'_>, PostgresError> {
        let room = Arc::clone(&self.room)
            .acquire_owned()
            .await
            .map_err(|_| PostgresError::Time { what: "a connection" })?;
        let idle = loop {
            match self.free().pop() {
                // The server, or something between, may have closed it meanwhile.
                Some(connection) if connection.client.is_closed() => {}
                other => break other,
            }
        };
        let connection = match idle {
            Some(connection) => connection,
            None => tokio::time::timeout(LOGIN, self.connect())
                .await
                .map_err(|_| PostgresError::Time { what: "a login" })??,
        };
        Ok(Lease {
            pool: self,
            connection: Some(connection),
            _room: room,
        })
    }

    async fn connect(&self) -> Result<Connection, PostgresError> {
        let failed = |source| PostgresError::Connect { source };
        let connection = match &self.tls {
            None => {
                let (client, driver) = self.settings.connect(NoTls).await.map_err(failed)?;
                Connection::drive(client, driver)
            }
            Some(tls) => {
                let (client, driver) = self.settings.connect(tls.clone()).await.map_err(failed)?;
                Connection::drive(client, driver)
            }
        };
        connection.client.batch_execute(SESSION).await.map_err(failed)?;
        Ok(connection)
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn drive<E: Send>(client: Client, driver: impl Future<Output = Result<(), E>> + Send + 'static) -> Self {
        // What went wrong is told to whoever uses the client.
        let driver = tokio::spawn(async move { driver.await.unwrap_or(()) });
        Self { client, driver }
    }
}

impl Drop for Connection {
    /// Closes the socket at once, whatever is still on its way.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Lease<'_> {
    /// The session; `Err` never happens while the lease is held.
    pub(super) fn client(&self) -> Result<&Client, PostgresError> {
        self.connection
            .as_ref()
            .map(|connection| &connection.client)
            .ok_or(PostgresError::Time { what: "a connection" })
    }

    /// Gives the connection back, outside of any transaction.
    pub(super) fn done(mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.free().push(connection);
        }
    }
}

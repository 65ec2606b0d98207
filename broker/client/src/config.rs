//! What every client must be told: whom to ask, and how patiently.

use std::time::Duration;

use model::Endpoint;

/// How a client reaches its cluster. Names are those of Kafka's client configuration.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `bootstrap.servers`: any nodes of the cluster; the others are learnt from them.
    pub bootstrap: Vec<Endpoint>,
    /// `client.id`: for the logs of brokers.
    pub client_id: String,
    /// `client.rack`: where this client stands. A consumer that says so may read from a follower there (KIP-392).
    pub rack: Option<String>,
    /// `metadata.max.age.ms`: how long a consumer reads from a follower before it asks the leader again who should serve it.
    pub metadata_age_max: Duration,
    /// `socket.connection.setup.timeout.ms`; and again as long for agreeing on versions.
    pub connect_timeout: Duration,
    /// `request.timeout.ms`: how long one answer may take.
    pub request_timeout: Duration,
    /// `default.api.timeout.ms`: how long an operation may take in all, retries included.
    pub operation_timeout: Duration,
    /// `retry.backoff.ms`: the first pause before a retry; each next one is twice as long, give or take a fifth (KIP-580).
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`
    pub retry_backoff_max: Duration,
}

impl ClientConfig {
    pub fn new(bootstrap: Vec<Endpoint>) -> ClientConfig {
        ClientConfig {
            bootstrap,
            client_id: "client".into(),
            rack: None,
            metadata_age_max: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
        }
    }
}

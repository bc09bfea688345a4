//! Everything that speaks NATS: topology, publishing, consuming, requests.

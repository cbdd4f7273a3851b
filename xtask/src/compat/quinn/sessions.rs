
// Put behind quinn-proto's `crypto/rustls.rs` by cargo xtask compat: sessions of version 1 are underseal's.

impl crypto::ClientConfig for QuicClientConfig {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn crypto::Session>, ConnectError> {
        if version != 1 {
            return Self::start_session(self, version, server_name, params);
        }
        let ours = crate::quinn::QuicClientConfig::try_from(self.inner.clone()).unwrap();
        crypto::ClientConfig::start_session(Arc::new(ours), version, server_name, params)
    }
}

impl crypto::ServerConfig for QuicServerConfig {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        params: &TransportParameters,
    ) -> Box<dyn crypto::Session> {
        if version != 1 {
            return Self::start_session(self, version, params);
        }
        let ours = crate::quinn::QuicServerConfig::try_from(self.inner.clone()).unwrap();
        crypto::ServerConfig::start_session(Arc::new(ours), version, params)
    }

    fn initial_keys(
        &self,
        version: u32,
        dst_cid: &ConnectionId,
    ) -> Result<Keys, UnsupportedVersion> {
        if version != 1 {
            return Self::initial_keys(self, version, dst_cid);
        }
        let ours = crate::quinn::QuicServerConfig::try_from(self.inner.clone()).unwrap();
        crypto::ServerConfig::initial_keys(&ours, version, dst_cid)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        if version != 1 {
            return Self::retry_tag(self, version, orig_dst_cid, packet);
        }
        let ours = crate::quinn::QuicServerConfig::try_from(self.inner.clone()).unwrap();
        crypto::ServerConfig::retry_tag(&ours, version, orig_dst_cid, packet)
    }
}

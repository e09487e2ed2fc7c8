//! TCP through a tunnel.

use super::Target;
use crate::model::Protocol;
use crate::sys::accept::accept_while_open;
use crate::sys::relay;
use crate::sys::socket::reset_on_close;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves a listener until dropped; its connections end with it.
pub async fn serve(listener: Arc<TcpListener>, target: Target) {
    let target = Arc::new(target);
    accept_while_open(&listener, |client, _| {
        let target = target.clone();
        async move {
            match target.connect(Protocol::Tcp).await {
                // Whoever is at either end has seen the error.
                Ok(stream) => drop(relay::join(client, stream).await),
                Err(_) => reset_on_close(&client),
            }
        }
    })
    .await;
}

//! One stream of a `devenv` elsewhere: what it asks for, and an answer.

use super::connect;
use crate::model::far::{Answer, LONGEST_DOCUMENT_BYTES, Request};
use crate::sys::framed::{read_document, write_document};
use crate::sys::stream::Stream;
use std::io;

/// Serves one stream to its end.
pub async fn serve(mut stream: Stream) -> io::Result<()> {
    match read_document(&mut stream, LONGEST_DOCUMENT_BYTES).await? {
        Request::Hello => {
            let architecture = std::env::consts::ARCH.to_owned();
            let build = env!("CARGO_PKG_VERSION").to_owned();
            write_document(&mut stream, &Answer::Hello { build, architecture }).await
        }
        Request::Connect { project, name, protocol, port } => {
            connect::serve(stream, project, name, protocol, port).await
        }
        Request::Clock { .. } => {
            let causes = vec!["this computer keeps its own time".to_owned()];
            write_document(&mut stream, &Answer::Failed { causes, hint: None }).await
        }
    }
}

//! Documents and frames on a stream of bytes, with a bound on what is taken from the other side.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Memory is taken for so much of an announced length at a time: an announcement alone costs nothing.
const STEP_BYTES: usize = 64 << 10;

/// Reads a document: four bytes of length (big-endian) and as many of JSON.
///
/// # Errors
/// `UnexpectedEof`: the stream ended. `InvalidData`: it is longer than `longest_bytes`, or not what was expected.
pub async fn read_document<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    longest_bytes: u32,
) -> io::Result<T> {
    let length = stream.read_u32().await?;
    if length > longest_bytes {
        return Err(refused(format!("a document of {length} bytes is too long")));
    }
    let content = read_content(stream, length as usize).await?;
    serde_json::from_slice(&content).map_err(|error| refused(format!("a document is not understood: {error}")))
}

/// A document as its bytes.
///
/// # Errors
/// It has no JSON form.
pub fn document(content: &impl Serialize) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(content)?;
    let length = u32::try_from(text.len()).map_err(|_| refused("a document is too long".into()))?;
    Ok([&length.to_be_bytes()[..], &text].concat())
}

/// Writes a document.
///
/// # Errors
/// The stream is closed.
pub async fn write_document(
    stream: &mut (impl AsyncWrite + Unpin + ?Sized),
    content: &impl Serialize,
) -> io::Result<()> {
    stream.write_all(&document(content)?).await?;
    stream.flush().await
}

/// Reads a frame: a byte that says what it is, four bytes of length (big-endian), the content. `longest` gives the
/// bound for each kind. `None`: the stream ended between two frames.
///
/// # Errors
/// `InvalidData`: there is no such kind, or it is too long. `UnexpectedEof`: the stream ended inside a frame.
pub async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    longest: fn(u8) -> Option<usize>,
) -> io::Result<Option<(u8, Vec<u8>)>> {
    let what = match stream.read_u8().await {
        Ok(what) => what,
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = stream.read_u32().await? as usize;
    let bound = longest(what).ok_or_else(|| refused(format!("there is no frame of kind {what}")))?;
    if length > bound {
        return Err(refused(format!("a frame of kind {what} with {length} bytes is too long")));
    }
    Ok(Some((what, read_content(stream, length).await?)))
}

async fn read_content(stream: &mut (impl AsyncRead + Unpin + ?Sized), length: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    while content.len() < length {
        let begun = content.len();
        content.resize(length.min(begun + STEP_BYTES), 0);
        stream.read_exact(&mut content[begun..]).await?;
    }
    Ok(content)
}

fn refused(why: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    fn ten(what: u8) -> Option<usize> {
        (what == b'a').then_some(10)
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_read() {
        let announced = [&u32::MAX.to_be_bytes()[..], b"x"].concat();
        let read = now(read_document::<String>(&mut &announced[..], 1 << 20));
        assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidData);
        let frame = [&b"a"[..], &11u32.to_be_bytes(), &[0; 11]].concat();
        assert_eq!(now(read_frame(&mut &frame[..], ten)).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn a_cut_inside_is_told_from_an_end_between() {
        let frame = [&b"a"[..], &2u32.to_be_bytes(), b"xy"].concat();
        assert_eq!(now(read_frame(&mut &frame[..], ten)).unwrap(), Some((b'a', b"xy".to_vec())));
        assert_eq!(now(read_frame(&mut &b""[..], ten)).unwrap(), None);
        for length in 1..frame.len() {
            let cut = now(read_frame(&mut &frame[..length], ten));
            assert_eq!(cut.unwrap_err().kind(), ErrorKind::UnexpectedEof, "{length}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let _ = now(read_frame(&mut &bytes[..], ten));
            let _ = now(read_document::<serde_json::Value>(&mut &bytes[..], 100));
        }
    }
}

//! The eight bytes before everything that travels: what it is, how much, and of which stream.

use std::io;

/// Length of a header: a byte of kind, three of amount, four of the stream's number; big-endian.
pub const HEADER_BYTES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A stream begins. The amount is 0.
    Open,
    /// As many bytes of the stream follow.
    Data,
    /// No more data will come; the other direction goes on. The amount is 0.
    End,
    /// The stream is over in both directions, and not by agreement. The amount is 0.
    Reset,
    /// So many more bytes may be sent.
    Credit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub amount: u32,
    pub stream: u32,
}

impl Header {
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let kind = match self.kind {
            Kind::Open => 1,
            Kind::Data => 2,
            Kind::End => 3,
            Kind::Reset => 4,
            Kind::Credit => 5,
        };
        let [_, high, middle, low] = self.amount.to_be_bytes();
        let [a, b, c, d] = self.stream.to_be_bytes();
        [kind, high, middle, low, a, b, c, d]
    }

    /// # Errors
    /// These bytes are no header.
    pub fn decode(bytes: [u8; HEADER_BYTES]) -> io::Result<Header> {
        let [kind, high, middle, low, a, b, c, d] = bytes;
        let amount = u32::from_be_bytes([0, high, middle, low]);
        let kind = match (kind, amount) {
            (1, 0) => Kind::Open,
            (2, 1..) => Kind::Data,
            (3, 0) => Kind::End,
            (4, 0) => Kind::Reset,
            (5, 1..) => Kind::Credit,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "the other side sent what is no frame")),
        };
        Ok(Header { kind, amount, stream: u32::from_be_bytes([a, b, c, d]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What three bytes can tell.
    const LARGEST_AMOUNT: u32 = (1 << 24) - 1;

    #[test]
    fn headers_are_read_as_written() {
        for (kind, amount) in [
            (Kind::Open, 0),
            (Kind::Data, 1),
            (Kind::Data, LARGEST_AMOUNT),
            (Kind::End, 0),
            (Kind::Reset, 0),
            (Kind::Credit, 65536),
        ] {
            let header = Header { kind, amount, stream: 0x0102_0304 };
            assert_eq!(Header::decode(header.encode()).unwrap(), header);
        }
        for wrong in [*b"\0\0\0\0\0\0\0\0", *b"\x01\0\0\x01\0\0\0\0", *b"\x02\0\0\0\0\0\0\0", *b"HTTP/1.1"] {
            assert!(Header::decode(wrong).is_err(), "{wrong:?}");
        }
    }
}

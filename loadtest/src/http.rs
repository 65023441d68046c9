//! Heads of HTTP/1.1 answers, read out of bytes. Bodies have a length or go on until the connection ends.

/// Longest head read, bytes.
pub const HEAD_BYTES_MAX: usize = 16 << 10;

/// What a drill needs of a head.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Content-Length; none where the body ends with the connection.
    pub length: Option<u64>,
    /// Age, seconds.
    pub age_s: u32,
    /// `ringside-available`: microseconds of the origin's clock.
    pub available_us: Option<i64>,
    /// The connection ends after this answer.
    pub close: bool,
}

/// Why bytes are no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than [`HEAD_BYTES_MAX`] without an end.
    #[error("head of more than {HEAD_BYTES_MAX} bytes")]
    TooLong,
    /// Not HTTP/1.x.
    #[error("not an HTTP/1 answer")]
    NotHttp,
    /// A header that does not follow its grammar.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// Transfer-Encoding: origins of live media know their lengths.
    #[error("Transfer-Encoding is not supported")]
    Chunked,
}

impl Head {
    /// The head and its length in bytes, once it is whole.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Error> {
        let window = bytes.get(..bytes.len().min(HEAD_BYTES_MAX)).unwrap_or(bytes);
        let Some(end) = window.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if bytes.len() >= HEAD_BYTES_MAX {
                Err(Error::TooLong)
            } else {
                Ok(None)
            };
        };
        let text = window
            .get(..end)
            .and_then(|head| std::str::from_utf8(head).ok())
            .ok_or(Error::NotHttp)?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1."))
            .ok_or(Error::NotHttp)?;
        let status = status
            .get(2..5)
            .and_then(|code| code.parse().ok())
            .ok_or(Error::NotHttp)?;
        let mut head = Self {
            status,
            ..Self::default()
        };
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(Error::Malformed("header"))?;
            head.header(name, value.trim())?;
        }
        if matches!(head.status, 204 | 304) {
            head.length = Some(0);
        }
        Ok(Some((head, end + 4)))
    }

    fn header(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("content-length") {
            self.length = Some(value.parse().map_err(|_| Error::Malformed("Content-Length"))?);
        } else if is("transfer-encoding") {
            return Err(Error::Chunked);
        } else if is("age") {
            self.age_s = value.parse().unwrap_or(0);
        } else if is("ringside-available") {
            self.available_us = value.parse().ok();
        } else if is("connection") {
            self.close = value.eq_ignore_ascii_case("close");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nage: 3\r\nringside-available: 1795292000035670\r\n\r\nhello";

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        for end in 0..TEXT.len() - 5 {
            assert_eq!(Head::read(&TEXT[..end]), Ok(None), "{end}");
        }
        let (head, length) = Head::read(TEXT).unwrap().unwrap();
        assert_eq!(
            (head.status, head.length, head.age_s, head.close),
            (200, Some(5), 3, false)
        );
        assert_eq!(head.available_us, Some(1_795_292_000_035_670));
        assert_eq!(&TEXT[length..], b"hello");
    }

    #[test]
    fn what_is_no_head_is_refused() {
        assert_eq!(Head::read(b"SSH-2.0\r\n\r\n"), Err(Error::NotHttp));
        assert_eq!(
            Head::read(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
            Err(Error::Malformed("header"))
        );
        assert_eq!(
            Head::read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            Err(Error::Chunked)
        );
        assert_eq!(Head::read(&[b'a'; HEAD_BYTES_MAX]), Err(Error::TooLong));
        let none = Head::read(b"HTTP/1.1 304 Not Modified\r\nConnection: Close\r\n\r\n")
            .unwrap()
            .unwrap()
            .0;
        assert_eq!((none.length, none.close), (Some(0), true));
    }
}
